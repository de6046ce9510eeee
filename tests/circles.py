#!/usr/bin/env python3
"""Proves that the files of a module call each other in one direction only.

    tests/circles.py LIBRARY.a     exit 0 or 1

The symbols of a static library say which of its files uses which other. A circle among them would
mean that none of these files can be understood, or tested, without the others. Needs `nm` and
Python's standard library.
"""
import re
import subprocess
import sys


def read_symbols(library):
    """-> {file: (symbols it defines, symbols it needs)}"""
    lines = subprocess.run(["nm", library], check=True, capture_output=True, text=True).stdout
    files, name = {}, None
    for line in lines.splitlines():
        member = re.match(r"(.*)\.o:$", line)
        symbol = re.match(r"[0-9a-f ]* ([A-Za-z]) (\S+)$", line)
        if member:
            name = member.group(1).split("/")[-1]
            files[name] = (set(), set())
        elif symbol and name:
            files[name][symbol.group(1) == "U"].add(symbol.group(2))
    return files


def uses(files):
    """-> {file: files it calls}"""
    home = {s: name for name, (defined, _) in files.items() for s in defined}
    return {name: {home[s] for s in needed if s in home and home[s] != name}
            for name, (_, needed) in files.items()}


def find_circle(graph):
    """-> a list of files that lead back to the first, or None"""
    done, path = set(), []

    def visit(name):
        if name in path:
            return path[path.index(name):] + [name]
        if name in done:
            return None
        path.append(name)
        for other in sorted(graph[name]):
            circle = visit(other)
            if circle:
                return circle
        path.pop()
        done.add(name)
        return None

    for name in sorted(graph):
        circle = visit(name)
        if circle:
            return circle
    return None


def main():
    graph = uses(read_symbols(sys.argv[1]))
    if not graph:
        sys.exit(f"{sys.argv[1]}: nm shows no objects")
    circle = find_circle(graph)
    if circle:
        sys.exit(f"{sys.argv[1]}: calls go in a circle: " + " > ".join(circle))
    print(f"{len(graph)} files of {sys.argv[1]} call each other in one direction")


if __name__ == "__main__":
    assert find_circle({"a": {"b"}, "b": {"c"}, "c": {"a"}}) == ["a", "b", "c", "a"]
    assert find_circle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) is None
    main()
