#!/usr/bin/env bash
# Proves that what is installed works wherever its prefix is moved to: program, launch scripts, recipes, documentation,
# licence, manual pages, completions, module file; that the Debian package has the same in it and says what it needs; and
# that the recipes of other package managers are what their tools can read, where those tools are.
#
#   tests/program/install.sh BUILD_ROOT
. "$(dirname "$0")/common.sh"
build=$(cd "$1" && pwd)
num_checked=0

# has FILE...: below $prefix.
has() {
  local file
  for file; do
    [ -s "$prefix/$file" ] || fail "not installed: $file"
    num_checked=$((num_checked + 1))
  done
}

# works: what lies below $prefix does what it should.
works() {
  local ftrun=$prefix/bin/ftrun command
  has bin/ftrun share/ftrun/launch/mpirun-loop.sh share/ftrun/launch/mpirun-hostfile.sh share/ftrun/launch/slurm/ftrun.sbatch \
    share/ftrun/configs/tiny.json share/doc/ftrun/README.md share/doc/ftrun/docs/configuration.md \
    share/bash-completion/completions/ftrun share/zsh/site-functions/_ftrun
  "$ftrun" --version | grep -q '^ftrun [0-9]' || fail "the installed program does not say its version"
  for command in $("$ftrun" --help | sed -nE 's/^  ([a-z]+) .*/\1/p'); do
    ls "$prefix"/share/man/man1/ftrun-"$command".1* >/dev/null || fail "no manual page of $command is installed"
  done
  [ "$(ls "$prefix"/share/man/man1 | wc -l)" -eq "$(($("$ftrun" --help | grep -cE '^  [a-z]+ ') + 1))" ] || fail "other manual pages than commands"
  [ -x "$prefix/share/ftrun/launch/mpirun-loop.sh" ] || fail "launch scripts cannot be run"
  bash -c '. "$1" && complete -p ftrun' - "$prefix/share/bash-completion/completions/ftrun" >/dev/null || fail "bash completion"
  ! command -v man >/dev/null || MANPATH=$prefix/share/man man -w ftrun-train >/dev/null || fail "man does not find ftrun-train"
  (cd "$work" && "$ftrun" init --config "$prefix/share/ftrun/configs/tiny-model.json" --out "$prefix/model" 2>/dev/null)
  ! grep -rlF "$build" "$prefix" --include='*' -I >"$work/named" || fail "names the build: $(cat "$work/named")"
}

# ---- meson install, moved
meson install -C "$build" --no-rebuild --destdir "$work/first" >"$work/said" 2>&1 || { cat "$work/said" >&2; fail "meson install"; }
installed=$(dirname "$(dirname "$(find "$work/first" -path '*/bin/ftrun')")")
mv "$installed" "$work/moved"
prefix=$work/moved
works
has share/doc/ftrun/LICENSE

# ---- the module file finds the prefix from where it lies
module=$(find "$prefix/share/modulefiles/ftrun" -type f)
if command -v tclsh >/dev/null; then
  tclsh /dev/stdin "$module" >"$work/module" <<'END'
proc module-whatis {text} {}
proc conflict {name} {}
proc prepend-path {name value} { puts "$name $value" }
proc setenv {name value} { puts "$name $value" }
set ModulesCurrentModulefile [lindex $argv 0]
source $ModulesCurrentModulefile
END
  grep -qxF "PATH $prefix/bin" "$work/module" && grep -qxF "MANPATH $prefix/share/man" "$work/module" || fail "module file: $(cat "$work/module")"
fi
modulecmd=$(ls /usr/lib/*/modulecmd.tcl 2>/dev/null | head -n 1)
if [ -n "$modulecmd" ]; then
  MODULEPATH=$prefix/share/modulefiles "$modulecmd" sh load ftrun >"$work/module" 2>&1
  grep -qF "$prefix/bin" "$work/module" || fail "Environment Modules: $(cat "$work/module")"
fi

# ---- the Debian package
if command -v dpkg-shlibdeps >/dev/null; then
  quietly "$root/launch/deb.sh" "$work/packages" "$build"
  deb=$(ls "$work"/packages/ftrun_*_*.deb)
  dpkg-deb --info "$deb" >"$work/said"
  for words in 'Package: ftrun' 'Depends: .*libopenmpi' libhwloc libcjson libpcre2 libutf8proc libxxhash libdnnl libopenblas; do
    grep -q -- "$words" "$work/said" || { cat "$work/said" >&2; fail "the package does not say $words"; }
  done
  dpkg-deb -x "$deb" "$work/unpacked"
  prefix=$work/unpacked/usr
  works
  has share/doc/ftrun/copyright
  dpkg-deb --ctrl-tarfile "$deb" | tar -xO ./md5sums >"$work/md5sums"
  (cd "$work/unpacked" && md5sum --quiet -c "$work/md5sums") || fail "md5sums of the package"
  dpkg-deb -c "$deb" | awk '$2 != "root/root" { exit 1 }' || fail "files of the package belong to somebody"
fi

# ---- recipes
cp "$root/packages/spack/package.py" "$work/package.py"
cp "$root"/packages/easybuild/*.eb "$work/easybuild.py"
python3 - "$work" "$root" <<'END' || fail "recipes"
import ast, os, py_compile, re, sys
work, root = sys.argv[1:]
for name in ("package.py", "easybuild.py"):
    py_compile.compile(os.path.join(work, name), os.path.join(work, "x.pyc"), doraise=True)
version = re.search(r"version: '([^']*)'", open(os.path.join(root, "meson.build")).read()).group(1)
# an EasyBuild recipe is assignments of literals, and its name says what it makes
recipe = {}
for node in ast.parse(open(os.path.join(work, "easybuild.py")).read()).body:
    assert isinstance(node, ast.Assign), ast.dump(node)
    recipe[node.targets[0].id] = ast.literal_eval(node.value)
for key in ("easyblock", "name", "version", "homepage", "description", "toolchain", "moduleclass", "sources"):
    assert recipe.get(key), key
assert recipe["version"] == version, (recipe["version"], version)
chain = recipe["toolchain"]
assert f"ftrun-{version}-{chain['name']}-{chain['version']}.eb" in os.listdir(os.path.join(root, "packages/easybuild"))
# the libraries that meson asks for are those that the recipes depend on
meson = open(os.path.join(root, "meson.build")).read()
spack = open(os.path.join(work, "package.py")).read().lower()
easy = [name.lower() for name, _ in recipe["dependencies"]] + ["openblas", "openmpi"]  # of foss
for library, called in {"libxxhash": "xxhash", "zlib": "zlib", "libzstd": "zstd", "libmd": "libmd", "libcjson": "cjson", "dnnl": "onednn", "openblas": "openblas",
                        "ompi-c": "openmpi", "hwloc": "hwloc", "libpcre2-8": "pcre2", "libutf8proc": "utf8proc"}.items():
    assert f"'{library}'" in meson, library
    assert f'depends_on("{called}' in spack, called
    assert called in easy, called
asked = set(re.findall(r"(?:dependency|find_library)\('([^']*)'", meson)) - {"m", "threads", "openmp", "hdf5", "cmocka"}
assert len(asked) == 11, f"meson.build asks for {asked}: tell the recipes in packages/"
# an Apptainer definition is a header and sections
definition = open(os.path.join(root, "packages/apptainer.def")).read()
assert re.match(r"Bootstrap: \w+\nFrom: \S+\n", definition)
assert re.findall(r"^%(\w+)$", definition, re.M) == ["files", "post", "test", "environment", "runscript", "labels", "help"]
END
sed -n '/^%post/,/^%test/p' "$root/packages/apptainer.def" | sed '1d;$d' | bash -n || fail "the definition's commands"

# ---- without tests
quietly meson setup --buildtype=release -Dtests=false "$work/without" "$root"
meson introspect --targets "$work/without" >"$work/targets"
! grep -qE 'tests/|cmocka' "$work/targets" || fail "-Dtests=false builds tests"
grep -q '"name": "ftrun"' "$work/targets" || fail "-Dtests=false does not build ftrun"
echo "$num_checked files are where they should be, wherever that is"
