"""Binding: a call's arguments → named parameters → canonical bytes → the arguments that run (property 2, family B.5).

* Positional, default and keyword arguments become named parameters of the real signature; defaults are written out.
* What runs is decoded from the bytes that were judged, by the annotated types; it is never the caller's own object.
* A parameter that would not survive this is refused when the tool is declared, unless it is `opaque`: passed through
  unseen, and shown as such.
"""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path, PurePath
from typing import Any, Final
from uuid import UUID

import msgspec

from navicert.core.canonical import decode_parameters, parameter_bytes
from navicert.model.errors import InvalidAction

_PLAIN: Final = frozenset({str, int, float, bool, type(None)})
_RECORDS: Final = frozenset(
    {
        msgspec.inspect.StructType,
        msgspec.inspect.DataclassType,
        msgspec.inspect.NamedTupleType,
        msgspec.inspect.TypedDictType,
    }
)
_TEXTUAL: Final[dict[type, type]] = {
    bytes: msgspec.inspect.BytesType,
    bytearray: msgspec.inspect.ByteArrayType,
    memoryview: msgspec.inspect.MemoryViewType,
    datetime: msgspec.inspect.DateTimeType,
    date: msgspec.inspect.DateType,
    time: msgspec.inspect.TimeType,
    timedelta: msgspec.inspect.TimeDeltaType,
    UUID: msgspec.inspect.UUIDType,
    Decimal: msgspec.inspect.DecimalType,
}
"""Types that are text on the wire: given for a parameter that is not declared so, they would run as text."""
OPAQUE: Final = "$opaque"


class Binding:
    """The parameters of one callable. `names` are those that policy can see."""

    def __init__(self, tool: str, function: Callable[..., Any], opaque: Iterable[str] = ()) -> None:
        """Read the signature; raises `TypeError` for a parameter that cannot be bound, saying which and what to do."""
        self._tool = tool
        self._signature = inspect.signature(function)
        parameters = self._signature.parameters
        first = next(iter(parameters), None)
        self.opaque = frozenset({*opaque, *({"self"} & {first})})
        unknown = self.opaque - parameters.keys()
        if unknown:
            raise TypeError(f"`{tool}`: opaque names `{min(unknown)}`, which is not a parameter")
        hints = self._hints(function)
        self._types: dict[str, Any] = {}
        self._loose: set[str] = set()
        self._records: set[str] = set()
        self._foreign: dict[str, tuple[type, ...]] = {}
        for name, parameter in parameters.items():
            if name not in self.opaque:
                self._types[name] = self._type(name, hints.get(name, Any))
                if parameter.default is not parameter.empty:
                    self._check_default(name, parameter.default)
        self.names = tuple(self._types)
        kinds = {parameter.kind for parameter in parameters.values()}
        self._extra = next((n for n, p in parameters.items() if p.kind is p.VAR_KEYWORD), None)
        self._simple = kinds <= {inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY}
        self._defaults = {n: p.default for n, p in parameters.items() if p.default is not p.empty}
        self._positional = [n for n, p in parameters.items() if p.kind is p.POSITIONAL_OR_KEYWORD]

    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema of the parameters that are seen, as far as their types have one."""
        found: dict[str, Any] = {}
        shapes: dict[str, Any] = {}
        for name, kind in self._types.items():
            try:
                (found[name],), more = msgspec.json.schema_components([kind], schema_hook=_path_schema)
            except (TypeError, NotImplementedError):
                found[name], more = {}, {}
            shapes |= more
        return {"type": "object", "properties": found, "$defs": shapes}

    def _type(self, name: str, annotation: Any) -> Any:
        try:
            info = msgspec.inspect.type_info(annotation)
        except (TypeError, NotImplementedError) as error:
            raise TypeError(self._refused(name, annotation)) from error
        parts = list(_walk(info))
        kinds = {type(part) for part in parts}
        if any(issubclass(kind, msgspec.inspect.CustomType) for kind in kinds) and not _paths_only(annotation):
            raise TypeError(self._refused(name, annotation))
        if any(
            part.cls.__struct_config__.omit_defaults for part in parts if isinstance(part, msgspec.inspect.StructType)
        ):
            word = getattr(annotation, "__name__", annotation)
            raise TypeError(
                f"`{self._tool}`: the parameter `{name}` of type `{word}` leaves out fields that hold their default, "
                f"so policy would not see what runs; declare it without `omit_defaults`"
            )
        if any(issubclass(kind, msgspec.inspect.AnyType) for kind in kinds):
            self._loose.add(name)
        self._foreign[name] = tuple(kind for kind, info in _TEXTUAL.items() if info not in kinds)
        if kinds & _RECORDS:
            self._records.add(name)
        return annotation

    def _check_default(self, name: str, value: Any) -> None:
        try:
            self._typed(name, decode_parameters(parameter_bytes({name: self._plain(name, value)}))[name])
        except InvalidAction as error:
            raise TypeError(
                f"`{self._tool}`: the default of `{name}` cannot be judged ({error}); give it a JSON value of the "
                f"declared type, or pass opaque=('{name}',) to have it passed through unseen"
            ) from None

    def _hints(self, function: Callable[..., Any]) -> dict[str, Any]:
        """Return the types of the parameters that are seen. One that cannot be found counts as not stated."""
        inner = inspect.unwrap(function)
        while isinstance(inner, partial):
            inner = inspect.unwrap(inner.func)
        notes = dict(getattr(inner, "__annotations__", {}))
        seen = {name: notes[name] for name in self._signature.parameters if name in notes and name not in self.opaque}
        space = getattr(getattr(inner, "__func__", inner), "__globals__", {})
        hints: dict[str, Any] = {}
        for name, note in seen.items():
            with suppress(NameError, TypeError, AttributeError, SyntaxError):
                one = types.SimpleNamespace(__annotations__={name: note})
                hints |= typing.get_type_hints(one, space, include_extras=True)
        return hints

    def _refused(self, name: str, annotation: Any) -> str:
        word = getattr(annotation, "__name__", annotation)
        return (
            f"`{self._tool}`: the parameter `{name}` of type `{word}` has no JSON form, so what is judged would not be "
            f"what runs; give it a JSON type, or pass opaque=('{name}',) to have it passed through unseen"
        )

    def _plain(self, name: str, value: Any) -> Any:
        """Return a parameter as plain JSON values; raises `InvalidAction` where it has no exact JSON form."""
        if type(value) in _PLAIN or name in self._loose:
            return value
        try:
            foreign = self._foreign[name]
            return _text_keys(msgspec.to_builtins(value, enc_hook=encode_path, builtin_types=foreign))
        except (TypeError, ValueError, NotImplementedError, msgspec.MsgspecError, RecursionError) as error:
            raise InvalidAction(f"`{self._tool}`: the parameter `{name}` has no JSON form: {error}") from None

    def _whole(self, name: str, value: Any) -> Any:
        """Return a parameter as plain JSON values, with the defaults inside it written out: they run too."""
        plain = self._plain(name, value)
        if name not in self._records:
            return plain
        data = parameter_bytes({name: plain})  # refuses what only looks like JSON
        record = self._typed(name, decode_parameters(data)[name])
        return _text_keys(msgspec.to_builtins(record, enc_hook=encode_path))

    def bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[bytes, dict[str, Any]]:
        """Return (canonical parameters, opaque arguments) of one call.

        Raises `TypeError` as the call itself would, and `InvalidAction` for values that cannot be judged.
        """
        arguments = self._arguments(args, kwargs)
        opaque = {name: arguments[name] for name in self.opaque if name in arguments}
        plain: dict[str, Any] = {}
        for name, value in arguments.items():
            if name in self.opaque:
                plain[name] = {OPAQUE: f"{type(value).__module__}.{type(value).__qualname__}"}
            elif name == self._extra:
                clash = value.keys() & arguments.keys()
                if clash:
                    raise InvalidAction(f"`{self._tool}`: the keyword `{min(clash)}` is a parameter already")
                plain |= {key: self._whole(name, item) for key, item in value.items()}
            elif type(value) is tuple and self._signature.parameters[name].kind is inspect.Parameter.VAR_POSITIONAL:
                plain[name] = [self._whole(name, item) for item in value]
            else:
                plain[name] = self._whole(name, value)
        data = parameter_bytes(plain)
        self.unbind(data, opaque)  # a value of the wrong type is refused before anything is judged
        return data, opaque

    def _arguments(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        if self._simple and len(args) <= len(self._positional):
            arguments = dict(zip(self._positional, args, strict=False))
            if not arguments.keys() & kwargs.keys():
                arguments |= kwargs
                if arguments.keys() <= self._signature.parameters.keys():
                    whole = {**self._defaults, **arguments}
                    if len(whole) == len(self._signature.parameters):
                        return whole
        bound = self._signature.bind(*args, **kwargs)  # raises TypeError as Python words it
        bound.apply_defaults()
        return bound.arguments

    def unbind(self, data: bytes, opaque: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """Return the positional and keyword arguments that run, decoded from canonical bytes.

        Raises `InvalidAction` where the parameters do not fit the signature (after a MODIFY, say).
        """
        values = decode_parameters(data)
        args: list[Any] = []
        kwargs: dict[str, Any] = {}
        for name, parameter in self._signature.parameters.items():
            if parameter.kind is parameter.VAR_KEYWORD:
                kwargs |= {key: self._typed(name, item) for key, item in values.items()}
                values = {}
                continue
            if name in opaque:
                values.pop(name, None)
                item = opaque[name]
            elif name in values:
                raw = values.pop(name)
                if parameter.kind is parameter.VAR_POSITIONAL:
                    args += [self._typed(name, part) for part in raw]
                    continue
                item = self._typed(name, raw)
            elif parameter.default is not parameter.empty:
                item = parameter.default
            elif parameter.kind is parameter.VAR_POSITIONAL:
                continue
            else:
                raise InvalidAction(f"`{self._tool}`: the parameter `{name}` is missing")
            if parameter.kind is parameter.KEYWORD_ONLY:
                kwargs[name] = item
            else:
                args.append(item)
        if values:
            raise InvalidAction(f"`{self._tool}`: there is no parameter `{next(iter(values))}`")
        return args, kwargs

    def _typed(self, name: str, value: Any) -> Any:
        wanted = self._types[name]
        if wanted is Any or (wanted is type(value) and wanted in _PLAIN):
            return value
        try:
            return msgspec.convert(value, wanted, dec_hook=_decode_path, str_keys=True)
        except msgspec.ValidationError as error:
            raise InvalidAction(f"`{self._tool}`: the parameter `{name}` does not fit: {error}") from None


def _text_keys(value: Any) -> Any:
    """Return plain values with integer keys as text; raises `ValueError` where two keys become the same."""
    if type(value) is dict:
        texts = {str(key) if type(key) is int else key: _text_keys(item) for key, item in value.items()}
        if len(texts) != len(value):
            raise ValueError("two keys have the same text")
        return texts
    return [_text_keys(item) for item in value] if type(value) in {list, tuple} else value


def _walk(info: Any) -> Iterable[Any]:
    yield info
    for field in getattr(info, "__struct_fields__", ()):
        item = getattr(info, field)
        parts = item if isinstance(item, tuple) else (item,)
        for part in parts:
            if isinstance(part, (msgspec.inspect.Type, msgspec.inspect.Field)):
                yield from _walk(part)


def _paths_only(annotation: Any) -> bool:
    """Paths are text on the wire; they are the one type beyond msgspec's own that tools take all the time."""
    if typing.get_origin(annotation) in {types.UnionType, typing.Union, list, tuple, dict}:
        return all(_paths_only(part) for part in typing.get_args(annotation) if part is not Ellipsis)
    if isinstance(annotation, type) and issubclass(annotation, PurePath):
        return True
    try:
        parts = list(_walk(msgspec.inspect.type_info(annotation)))
    except (TypeError, NotImplementedError):
        return False
    return not any(isinstance(part, msgspec.inspect.CustomType) for part in parts)


def encode_path(value: Any) -> str:
    """Return a path as text, for msgspec; raises `NotImplementedError` for anything else."""
    if isinstance(value, PurePath):
        return str(value)
    raise NotImplementedError(f"`{type(value).__name__}` is not a JSON value")


def _path_schema(kind: type) -> dict[str, Any]:
    if issubclass(kind, PurePath):
        return {"type": "string", "format": "path"}
    raise NotImplementedError(f"`{kind}` has no schema")


def _decode_path(wanted: type, value: Any) -> Any:
    if issubclass(wanted, PurePath) and isinstance(value, str):
        return Path(value) if wanted is Path else wanted(value)
    raise ValueError(f"`{wanted}` cannot be made of JSON")
