#!/usr/bin/env python3
"""Proves that includes only point down the stack that meson.build lists.

    tests/layers.py [SOURCE_ROOT]     compares the table with the includes; exit 0 or 1
    tests/layers.py --self-test       shows that each kind of mistake is found

The table `modules` in meson.build names every module below a comment `# rank N`, with the modules
it may use. Checked here:
  * a module uses only modules of lower rank, and the include of a header only modules it uses
    (directly or through another); modules of one rank never include each other;
  * a header in include/ft is named after its module, "kernels.h", or a part of it, "kernels_ref.h";
  * includes in quotes stay in the module's folder or name "ft/..."; private headers are not shared;
  * a library that belongs to one module (MPI, HDF5, oneDNN ...) is included there alone.
Needs only Python's standard library.
"""
import os
import re
import sys
import tempfile

# The top of the stack builds the executable, not a library, so meson.build's table ends below it.
TOP = {"cli": (6, ["train", "report", "prep"])}

# Headers of a library, and the modules that may know it. "all of MPI" is comm's, HDF5 is
# called by io's thread only, kernels is the only module that knows a processor.
OWNED = {
    r"mpi\.h": {"comm"},
    r"hwloc.*\.h|hwloc/.*": {"comm"},
    r"hdf5\.h|H5.*\.h": {"io"},
    r"dnnl.*\.h|oneapi/.*": {"kernels"},
    r"cblas\.h|openblas.*\.h": {"kernels"},
    r".*intrin\.h": {"kernels"},
    r"pcre2\.h": {"tokenizer", "hf"},
    r"utf8proc\.h": {"tokenizer", "jinja", "prep"},
    r"xxhash\.h|sha2\.h": {"base"},
    r"zlib\.h|zstd\.h": {"io"},
    r"argp\.h": {"cli"},
}


def read_table(root):
    """-> {module: (rank, [modules it uses])} from the table `modules` in meson.build."""
    text = open(os.path.join(root, "meson.build"), encoding="utf-8").read()
    table = re.search(r"^modules = \[\n(.*?)^\]", text, re.S | re.M)
    if not table:
        sys.exit("meson.build has no table `modules = [ ... ]`")
    modules, rank = {}, None
    for line in table.group(1).splitlines():
        comment = re.match(r"\s*# rank (\d+)", line)
        entry = re.match(r"\s*\['(\w+)', \[([^\]]*)\]", line)
        if comment:
            rank = int(comment.group(1))
        elif entry and rank is not None:
            modules[entry.group(1)] = (rank, re.findall(r"'(\w+)'", entry.group(2)))
        elif line.strip() and not line.strip().startswith("#"):
            sys.exit(f"meson.build: a line of the table is not understood: {line.strip()}")
    for name, entry in TOP.items():
        if os.path.isdir(os.path.join(root, "src", name)):
            modules.setdefault(name, entry)
    return modules


def owner(modules, header):
    """The module of include/ft/HEADER.h: that of its name, else of what stands before "_"."""
    return header if header in modules else header.split("_")[0]


def closure(modules, name):
    """All modules that `name` may include: those it uses, and those they use."""
    found, queue = set(), list(modules[name][1])
    while queue:
        other = queue.pop()
        if other not in found and other in modules:
            found.add(other)
            queue.extend(modules[other][1])
    return found


def sources(root, modules):
    """-> (module, path from the root) of every header and source; wrongly placed ones are errors."""
    files, errors = [], []
    for name in sorted(os.listdir(os.path.join(root, "include", "ft"))):
        module = owner(modules, name.removesuffix(".h"))
        path = os.path.join("include", "ft", name)
        if module in modules:
            files.append((module, path))
        else:
            errors.append(f"{path}: no module \"{module}\" in meson.build's table")
    for folder, _, names in sorted(os.walk(os.path.join(root, "src"))):
        inside = os.path.relpath(folder, os.path.join(root, "src"))
        code = [n for n in sorted(names) if n.endswith((".c", ".h"))]
        module = inside.split(os.sep)[0]
        if code and module not in modules:
            errors.append(f"src/{inside}: no module \"{module}\" in meson.build's table")
        elif code:
            files += [(module, os.path.join("src", inside, n)) for n in code]
    return files, errors


def stays(path, name):
    """Whether "NAME" included from PATH lies in the same module's folder (src/MODULE)."""
    target = os.path.normpath(os.path.join(os.path.dirname(path), name))
    return target.split(os.sep)[:2] == path.split(os.sep)[:2]


def include_errors(root, modules, module, path):
    allowed, rank, errors = closure(modules, module), modules[module][0], []
    for number, line in enumerate(open(os.path.join(root, path), encoding="utf-8"), 1):
        include = re.match(r'\s*#\s*include\s*(["<])([^">]+)[">]', line)
        if not include:
            continue
        quoted, name = include.group(1) == '"', include.group(2)
        where = f"{path}:{number}"
        inside = re.fullmatch(r"ft/(\w+)\.h", name)
        if inside:
            other = owner(modules, inside.group(1))
            if other == module:
                pass
            elif other not in modules:
                errors.append(f"{where}: {name} belongs to no module of meson.build's table")
            elif modules[other][0] >= rank:
                errors.append(f"{where}: {module} (rank {rank}) includes {name}, "
                              f"which is not below it (rank {modules[other][0]})")
            elif other not in allowed:
                errors.append(f"{where}: {module} includes {name}, but meson.build does not list "
                              f"{other} among what it uses")
        elif quoted and not stays(path, name):
            errors.append(f'{where}: "{name}" reaches into another folder')
        elif quoted and not any(os.path.exists(os.path.join(root, os.path.dirname(path), name + made))
                                for made in ("", ".in")):  # NAME.in: the build makes it
            errors.append(f'{where}: "{name}" is not in this folder')
        elif not quoted:
            for pattern, owners in OWNED.items():
                if re.fullmatch(pattern, name) and module not in owners:
                    errors.append(f"{where}: <{name}> belongs to {' and '.join(sorted(owners))}, "
                                  f"not to {module}")
    return errors


def check(root):
    """-> (list of what is wrong, number of files looked at)."""
    modules = read_table(root)
    errors = []
    for name, (rank, uses) in modules.items():
        for other in uses:
            if other not in modules:
                errors.append(f"meson.build: {name} uses {other}, which the table does not list")
            elif modules[other][0] >= rank:
                errors.append(f"meson.build: {name} (rank {rank}) uses {other} "
                              f"(rank {modules[other][0]}), which is not below it")
    files, misplaced = sources(root, modules)
    errors += misplaced
    for module, path in files:
        errors += include_errors(root, modules, module, path)
    return errors, len(files)


def self_test():
    """Builds a small tree with one mistake of each kind and expects each to be named."""
    table = ("modules = [\n  # rank 0\n  ['base', [], []],\n  # rank 1\n  ['io', ['base'], []],\n"
             "  ['kernels', ['base'], []],\n  # rank 2\n  ['data', ['io'], []],\n]\n")
    good = {"include/ft/base.h": "", "include/ft/io.h": '#include "ft/base.h"\n',
            "include/ft/kernels.h": "", "include/ft/kernels_ref.h": '#include "ft/base.h"\n',
            "src/kernels/inside.h": "", "src/kernels/part/part.c": '#include "../inside.h"\n',
            "include/ft/data.h": '#include "ft/io.h"\n',
            "src/io/io.c": '#include "ft/io.h"\n#include <hdf5.h>\n#include "own.h"\n',
            "src/io/own.h": ""}
    bad = {
        "which is not below it (rank 2)": {"src/io/up.c": '#include "ft/data.h"\n'},
        "which is not below it (rank 1)": {"src/io/side.c": '#include "ft/kernels.h"\n'},
        "does not list kernels": {"src/data/other.c": '#include "ft/kernels.h"\n'},
        "reaches into another folder": {"src/data/reach.c": '#include "../io/own.h"\n'},
        'data includes ft/kernels_ref.h': {"src/data/part.c": '#include "ft/kernels_ref.h"\n'},
        "is not in this folder": {"src/data/private.c": '#include "own.h"\n'},
        "<mpi.h> belongs to comm": {"src/data/mpi.c": "#include <mpi.h>\n"},
        'no module "odd"': {"include/ft/odd.h": ""},
        "belongs to no module": {"src/data/none.c": '#include "ft/none.h"\n'},
    }
    failed = 0
    for expected, extra in [("", {})] + list(bad.items()):
        with tempfile.TemporaryDirectory() as root:
            for path, text in {**good, **extra, "meson.build": table}.items():
                os.makedirs(os.path.join(root, os.path.dirname(path)), exist_ok=True)
                with open(os.path.join(root, path), "w", encoding="utf-8") as file:
                    file.write(text)
            errors, _ = check(root)
        right = not errors if not expected else len(errors) == 1 and expected in errors[0]
        if not right:
            failed += 1
            print(f"expected {expected!r}, found {errors}")
    print(f"{len(bad) + 1 - failed} of {len(bad) + 1} trees judged rightly")
    return failed


def main():
    if sys.argv[1:] == ["--self-test"]:
        return 1 if self_test() else 0
    default = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
    errors, count = check(sys.argv[1] if len(sys.argv) > 1 else default)
    print("\n".join(errors) if errors else f"{count} files: every include points down")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
