"""Reading params.yaml: checked whole, with a line for each mistake, before any work starts.

Imports neither torch nor numpy, so that the engines can read it in a fraction of a second.
"""

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from sslpipe.errors import UserError
from sslpipe.io.files import write_bytes
from sslpipe.layout import PARAMS
from sslpipe.schema.file import read
from sslpipe.schema.mistakes import disagreements
from sslpipe.schema.params import Params
from sslpipe.schema.runs import METHOD_SETTINGS
from sslpipe.schema.sources import SOURCE_KINDS
from sslpipe.schema.training import Pretrain, ResolvedRun

T = TypeVar("T")
SNAPSHOT = "SSLPIPE_PARAMS"
"""An environment variable that Snakemake's jobs have."""


def settings_file() -> Path:
    """What a stage reads: params.yaml, or the copy of it that a workflow was planned with. DVC has none,
    even where Snakemake's is left in the shell."""
    return Path(os.environ.get(SNAPSHOT) or PARAMS) if "DVC_STAGE" not in os.environ else PARAMS


def planned_params(*, again: bool) -> Path:
    """A copy of params.yaml as it is now, which all that this process starts reads as `settings_file`.
    again: in a process that a scheduler started for a job: the copy that the job was planned with."""
    if again and os.environ.get(SNAPSHOT):
        return settings_file()
    try:
        content = PARAMS.read_bytes()
        copy = Path(".state/params", f"{hashlib.sha256(content).hexdigest()[:16]}.yaml")
        if not copy.exists() or copy.read_bytes() != content:
            write_bytes(copy, content)
    except OSError:  # none there, which `read` tells; or a folder that is only looked at
        copy = PARAMS
    os.environ[SNAPSHOT] = str(copy)
    return copy


def load(path: Path) -> Params:
    """Read and check params.yaml.

    Raises UserError with one line for each mistake: the key's path and what is allowed.
    """
    return check(read(path), str(path))


def check(content: Any, where: str = "params.yaml") -> Params:
    """Check a parsed params.yaml; see `load`."""
    if not isinstance(content, dict):
        raise UserError(f"{where}: expected a mapping of keys, as in presets/default.yaml")
    try:
        params = Params.model_validate(content)
    except ValidationError as error:
        lines = list(_lines(error, where))
        missing = [e for e in error.errors() if e["type"] == "missing" and len(e["loc"]) == 1]
        if len(missing) > 1:
            lines.append(f"{where}: start from presets/default.yaml, which has all of these keys")
        raise UserError("\n".join(lines)) from None
    resolved = {name: _resolved(params, name) for name in params.runs}
    if mistakes := list(disagreements(params, resolved)):
        raise UserError("\n".join(f"{where}: {mistake}" for mistake in dict.fromkeys(mistakes)))
    return params


def find(things: Mapping[str, T], name: str, what: str) -> T:
    """`things[name]`. Raises UserError listing the names there are."""
    if name not in things:
        raise UserError(f"no {what} named {name!r} in params.yaml; there are: {', '.join(things)}")
    return things[name]


def resolve(params: Params, name: str) -> ResolvedRun:
    """Fill in a run. Raises UserError for an unknown run or a wrong override."""
    if name not in params.runs:
        raise UserError(f"no run named {name!r} in params.yaml; there are: {_list(params.runs)}")
    run = params.runs[name]
    settings_class = METHOD_SETTINGS[run.method]
    of_pretrain, of_method = Pretrain.model_fields, settings_class.model_fields
    mistakes = []
    overrides: dict[str, dict[str, Any]] = {"method": {}, "pretrain": {}}
    for key, value in run.overrides.items():
        if key in of_method:
            overrides["method"][key] = value
        elif key in of_pretrain:
            overrides["pretrain"][key] = value
        else:
            allowed = _list(["method", "backbone", "corpus", *of_method, *of_pretrain])
            mistakes.append(f"params.yaml: runs.{name}.{key}: unknown key; allowed: {allowed}")
    resolved: dict[str, Any] = {}
    for part, base in (
        ("method", getattr(params.methods, run.method)),
        ("pretrain", params.pretrain),
    ):
        merged = _merge(base.model_dump(), overrides[part])
        try:
            resolved[part] = type(base).model_validate(merged)
        except ValidationError as error:
            mistakes.extend(_lines(error, "params.yaml", prefix=("runs", name)))
    if mistakes:
        raise UserError("\n".join(mistakes))
    return ResolvedRun(
        name=name,
        method=run.method,
        backbone=run.backbone,
        corpus=run.corpus,
        image_size=params.image_size,
        settings=resolved["method"],
        pretrain=resolved["pretrain"],
    )


def _resolved(params: Params, name: str) -> ResolvedRun | UserError:
    try:
        return resolve(params, name)
    except UserError as error:
        return error


def json_schema() -> dict[str, Any]:
    """JSON Schema of params.yaml, for editors and for Snakemake's `validate`."""
    schema = Params.model_json_schema(mode="validation")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _merge(base: dict[str, Any], override: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in override.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merge(merged[key], value) if both else value
    return merged


def _lines(error: ValidationError, where: str, prefix: tuple[str, ...] = ()) -> Iterator[str]:
    for mistake in error.errors():
        path = [str(part) for part in (*prefix, *mistake["loc"]) if part != "[key]"]
        if path[0] == "datasets" and path[2:3] == ["source"]:
            del path[3:4]  # pydantic names the chosen kind of source as a step of the path
        message = mistake["msg"].removeprefix("Value error, ")
        if mistake["type"] == "extra_forbidden":
            message = "unknown key"
            if allowed := _fields_at(mistake["loc"][:-1], of_run=prefix):
                message += f"; allowed: {_list(allowed)}"
        elif mistake["type"].startswith("union_tag"):
            message = f"expected one of {_list(SOURCE_KINDS)}, or a mapping with such a `kind`"
        elif mistake["type"] != "missing":
            message += f" (got {mistake['input']!r})"
            if mistake["type"] == "string_type" and isinstance(
                mistake["input"], int | float | None
            ):
                message += "; quote it if it is a name"
        yield f"{where}: {'.'.join(path)}: {message[0].lower() + message[1:]}"


def _fields_at(loc: tuple[str | int, ...], of_run: tuple[str, ...]) -> list[str] | None:
    """The keys allowed at a place in params.yaml, found by walking the JSON Schema."""
    roots: list[type[BaseModel]] = [Params]
    if of_run:
        roots = [Pretrain, *METHOD_SETTINGS.values()]
    for root in roots:
        schema = root.model_json_schema()
        node: dict[str, Any] | None = schema
        for part in loc:
            node = _step(schema, node, str(part)) if node is not None else None
        if node and "properties" in node:
            return list(node["properties"])
    return None


def _step(schema: dict[str, Any], node: dict[str, Any], part: str) -> dict[str, Any] | None:
    choices = [node, *node.get("anyOf", []), *node.get("oneOf", [])]
    for choice in (_follow(schema, c) for c in choices):
        if part in choice.get("properties", {}):
            return _follow(schema, choice["properties"][part])
        if choice.get("properties", {}).get("kind", {}).get("const") == part:
            return choice  # the tag of a union is a step of pydantic's path
        if isinstance(choice.get("additionalProperties"), dict):
            return _follow(schema, choice["additionalProperties"])
    return None


def _follow(schema: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in node:
        node = schema["$defs"][node["$ref"].rsplit("/", 1)[1]]
    return node


def _list(names: Iterable[Any]) -> str:
    return ", ".join(dict.fromkeys(map(str, names)))
