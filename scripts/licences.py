"""Print the licence of every package that the base install brings; fail on the GPL.

Walks the requirements of the installed napari-gliocam, without its extras.  The LGPL, which is
fit for a library that is imported, and what nobody can tell are listed, not refused.
"""

from __future__ import annotations

import re
import sys
from importlib.metadata import Distribution, PackageNotFoundError, distribution

from packaging.requirements import Requirement

GPL = re.compile(r"(?<!L)(?<!Lesser )A?GPL|(?<!Lesser )General Public License", re.IGNORECASE)


def walk(name: str, extras: tuple[str, ...] = (), seen: dict[str, str] | None = None) -> dict:
    """Package -> licence for a package and all that it requires here."""
    seen = {} if seen is None else seen
    key = re.sub(r"[-_.]+", "-", name).lower()
    if key in seen and not extras:
        return seen
    try:
        package = distribution(name)
    except PackageNotFoundError:  # for another platform
        return seen
    seen[key] = licence(package)
    for text in package.requires or ():
        requirement = Requirement(text)
        wanted = requirement.marker is None or any(
            requirement.marker.evaluate({"extra": extra}) for extra in extras or ("",)
        )
        if wanted and requirement.name.lower() not in seen:
            walk(requirement.name, tuple(requirement.extras), seen)
    return seen


def licence(package: Distribution) -> str:
    """The SPDX expression, else the classifiers, else the first line of the free text."""
    meta = package.metadata
    if expression := meta.get("License-Expression"):
        return expression
    prefix = "License :: "
    told = [
        c.rpartition(" :: ")[2] for c in meta.get_all("Classifier") or () if c.startswith(prefix)
    ]
    told = [one for one in told if one != "OSI Approved"]
    lines = (meta.get("License") or "").strip().splitlines()
    return "; ".join(told) or (lines[0] if lines else "unknown")


def main() -> int:
    """Print the table; 1 if anything is under the GPL."""
    found = walk("napari-gliocam")
    width = max(map(len, found))
    refused = [name for name, words in found.items() if GPL.search(words)]
    for name in sorted(found):
        print(f"{name:{width}}  {found[name]}{'   <-- not permissive' if name in refused else ''}")
    print(f"{len(found)} packages, {len(refused)} refused")
    return 1 if refused else 0


if __name__ == "__main__":
    sys.exit(main())
