"""Governed: an object whose public methods all go through the gate (attack family A.5).

* What is not a public method is not handed out: an attribute, a private name or a special method may lead to the same
  object by another way. `__call__` is governed as `name.call`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cached_property
from typing import Any, NoReturn

Govern = Callable[[str, Callable[..., Any]], Callable[..., Any]]


class Governed:
    """Stands for an object; every method that it hands out is governed."""

    __slots__ = ("__get", "__name")

    def __init__(self, target: Any, name: str, govern: Govern) -> None:
        made: dict[str, Callable[..., Any]] = {}

        def get(method: str) -> Callable[..., Any]:
            found = made.get(method)
            if found is None:
                place = "__call__" if method == "call" and callable(target) else method
                fixed = inspect.getattr_static(target, place, None)  # a property must not run to find out what it is
                computed = inspect.isdatadescriptor(fixed) or isinstance(fixed, cached_property)
                attribute = None if computed else getattr(target, place)
                if not callable(attribute) or isinstance(attribute, type):
                    raise AttributeError(f"`{name}.{method}` is not a method; wrap it by itself if the agent needs it")
                found = made[method] = govern(method, attribute)
            return found

        object.__setattr__(self, "_Governed__get", get)
        object.__setattr__(self, "_Governed__name", name)

    def __getattr__(self, method: str) -> Callable[..., Any]:
        if method.startswith("_"):
            raise AttributeError(f"`{method}` is private to the governed object")
        get: Callable[[str], Callable[..., Any]] = object.__getattribute__(self, "_Governed__get")
        return get(method)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:  # noqa: D102 - it is the object's own
        return self.__getattr__("call")(*args, **kwargs)

    def __setattr__(self, name: str, value: Any) -> NoReturn:
        raise AttributeError("a governed object cannot be changed through its gate")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError("a governed object cannot be changed through its gate")

    def __repr__(self) -> str:
        return f"<governed {object.__getattribute__(self, '_Governed__name')}>"
