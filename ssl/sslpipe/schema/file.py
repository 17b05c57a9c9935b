"""params.yaml as plain values, where YAML leaves no doubt what they are."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from sslpipe.errors import UserError

TEXT = "tag:yaml.org,2002:str"
MERGE = "tag:yaml.org,2002:merge"
# All else that begins as a number is looked at twice.
PLAIN_NUMBER = re.compile(r"[-+]?(0|[1-9]\d*)(\.\d+)?([eE][-+]?\d+)?")


def read(path: Path) -> Any:
    """The file's content as plain values.

    Raises UserError when there is none, when it is not YAML, and with a line for each name that YAML takes
    for something else, and each number that DVC would read as another."""
    try:
        loader = _UniqueKeys(path.read_text(encoding="utf-8"))
        root = loader.get_single_node()
        mistakes = list(_misread(root, loader, (), set())) if root else []
        content = loader.construct_document(root) if root and not mistakes else None
    except FileNotFoundError:
        raise UserError(
            f"{path}: no such file; run from the project's root, or copy one from presets/"
        ) from None
    except (yaml.YAMLError, OSError, ValueError, TypeError) as error:
        raise UserError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    if mistakes:
        raise UserError("\n".join(f"{path}: {mistake}" for mistake in mistakes))
    return content


def spelled(value: Any) -> Any:
    """The same settings, with sorted keys and whole numbers without a point."""
    if isinstance(value, dict):
        return {key: spelled(value[key]) for key in sorted(value)}
    if isinstance(value, list):
        return [spelled(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


class _UniqueKeys(yaml.SafeLoader):
    """SafeLoader keeps the last of two equal keys without a word; a params file must not."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        seen = set()
        for key_node, _ in node.value:
            if key_node.tag == MERGE:
                continue
            key = self.construct_object(key_node, deep=deep)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} stands twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


# YAML 1.1 reads `1e-3` as text; YAML 1.2, DVC and Snakemake's users mean a number.
_UniqueKeys.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(\d[\d_]*)(\.[\d_]*)?[eE][-+]?\d+|[-+]?\.\d+([eE][-+]?\d+)?"),
    list("-+0123456789."),
)


def _misread(
    node: yaml.Node, loader: _UniqueKeys, path: tuple[str, ...], seen: set[int]
) -> Iterator[str]:
    """What is not what it seems below a node, each as `key.path: what YAML reads; what to do`.

    seen: nodes looked at before, which an alias repeats."""
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag not in (TEXT, MERGE):
                read_as = loader.construct_object(key)
                yield (
                    f"{'.'.join((*path, key.value))}: YAML reads {key.value or 'no name'} as {read_as!r}: "
                    "quote it or choose another name"
                )
            name = key.value if isinstance(key, yaml.ScalarNode) else "?"
            yield from _misread(value, loader, (*path, name), seen)
    elif isinstance(node, yaml.SequenceNode):
        for i, value in enumerate(node.value):
            yield from _misread(value, loader, (*path, str(i)), seen)
    elif (
        isinstance(node, yaml.ScalarNode)
        and node.style is None
        and node.value[:1] in tuple("-+.0123456789")
    ):
        if PLAIN_NUMBER.fullmatch(node.value):
            return
        here, there = loader.construct_object(node), _as_dvc(node.value)
        if (type(here), here) != (type(there), there):
            yield (
                f"{'.'.join(path)}: {node.value} is {here!r} here (YAML 1.1) and {there!r} for DVC "
                "(YAML 1.2): write the number as digits alone, or quote a text"
            )


def _as_dvc(text: str) -> Any:
    from ruamel.yaml import YAML  # as DVC does

    return YAML(typ="safe").load(text)
