#!/usr/bin/env bash
# Jinja2 3.1.6 with its loop controls, as chat templates are rendered by transformers.
#
# The `else` of a loop is for a list without elements. It is written as well where the list has elements
# and each pass ended in {% continue %}: a template that skips system messages with `continue` says
# "no messages" of a conversation that has one, and the same template with an `if` around the body
# says nothing. One pass that comes to its end is enough to make the `else` go away.
#
# Seen: "(no messages)" with continue, "" with if, "[user]" where one message is not skipped.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" -q install jinja2==3.1.6
"$folder/venv/bin/python" - <<'END'
import jinja2

env = jinja2.Environment(extensions=["jinja2.ext.loopcontrols"])
skip = ("{% for m in messages %}{% if m.role == 'system' %}{% continue %}{% endif %}"
        "[{{ m.role }}]{% else %}(no messages){% endfor %}")
wrap = ("{% for m in messages %}{% if m.role != 'system' %}[{{ m.role }}]{% endif %}"
        "{% else %}(no messages){% endfor %}")
system, user = {"role": "system"}, {"role": "user"}
found = [env.from_string(skip).render(messages=[system]),
         env.from_string(wrap).render(messages=[system]),
         env.from_string(skip).render(messages=[system, user])]
print(found)
assert found == ["(no messages)", "", "[user]"], found
END
echo "as described"
