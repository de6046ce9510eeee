#!/usr/bin/env bash
# Makes a Debian package of ftrun.
#
#   launch/deb.sh [FOLDER [BUILD]]
#
# Writes FOLDER/ftrun_VERSION_ARCHITECTURE.deb (FOLDER: the working directory) from what BUILD installs. Without
# BUILD, the program is built in build-deb, without tests. The package depends on the libraries that the program was
# linked with, as dpkg-shlibdeps finds them; so make it on the release of Debian that it is for. Needs
# launch/install.sh, and nothing else; no root.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/launch/terminal.sh"

folder=$(realpath "${1:-.}")
if [ $# -ge 2 ]; then
  build=$(realpath "$2")
else
  build=$root/build-deb
  [ -f "$build/build.ninja" ] || meson setup --buildtype=release -Dtests=false "$build" "$root"
  ninja -C "$build"
fi

work=$(mktemp -d "${TMPDIR:-/tmp}/ftrun-deb.XXXXXX")
trap 'rm -rf "$work"' EXIT
option() {
  meson introspect --buildoptions "$build" | sed 's/}, {/\n/g' | sed -n "s/.*\"name\": \"$1\".*\"value\": \"\([^\"]*\)\".*/\1/p"
}
version=$(meson introspect --projectinfo "$build" | sed 's/.*"version": "\([^"]*\)".*/\1/')
architecture=$(dpkg --print-architecture)
prefix=$(option prefix)

# ---- the files: the prefix can be moved, so whatever it is, it becomes /usr
meson install -C "$build" --no-rebuild --destdir "$work/installed" >"$work/log" || { cat "$work/log" >&2; exit 1; }
package=$work/package
mkdir -p "$package/DEBIAN"
mv "$work/installed$prefix" "$package/usr"
mv "$package/usr/share/doc/ftrun/LICENSE" "$package/usr/share/doc/ftrun/copyright"
strip --strip-unneeded "$package/usr/bin/ftrun"
find "$package/usr/share/man" -name '*.1' -exec gzip -9n {} +
chmod -R u=rwX,go=rX "$package"

# ---- what it needs: of the libraries it is linked with, and OpenBLAS, which it opens when it starts
mkdir -p "$work/source/debian"
printf 'Source: ftrun\n\nPackage: ftrun\nArchitecture: any\n' >"$work/source/debian/control"
libraries=$(cd "$work/source" && dpkg-shlibdeps -O "$package/usr/bin/ftrun" 2>"$work/log") || { cat "$work/log" >&2; exit 1; }
libraries=${libraries#shlibs:Depends=}
[ -n "$libraries" ] || { say_error "deb.sh: dpkg-shlibdeps names no library"; exit 1; }

cat >"$package/DEBIAN/control" <<END
Package: ftrun
Version: $version
Section: science
Priority: optional
Architecture: $architecture
Maintainer: The ftrun developers <ftrun@localhost>
Installed-Size: $(du -sk --apparent-size "$package/usr" | cut -f 1)
Depends: $libraries, libopenblas0-pthread, openmpi-bin
Description: fine-tunes language models on CPU clusters
 Takes a Hugging Face model directory and JSONL data, trains under Open MPI
 with everything sharded over the ranks, and gives back a Hugging Face model
 directory. Results do not depend on the number of ranks, and a stopped job
 goes on where it was.
END
(cd "$package" && find usr -type f -print0 | sort -z | xargs -0 md5sum) >"$package/DEBIAN/md5sums"

mkdir -p "$folder"
dpkg-deb --build --root-owner-group "$package" "$folder/ftrun_${version}_$architecture.deb"
