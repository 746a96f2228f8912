"""Unreadable and odd files, classes and groups by split, and what is said of them."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

from casebase.evaluate.data_audit.odd import odd_files
from casebase.evaluate.data_audit.study import audit
from casebase.indexer import open_source
from casebase.indexer.surveying import survey
from tests.evaluate.data_audit.drawn import jpeg, looked, png, scene, two_classes, write


def saved(image: Image.Image, kind: str, **how: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **how)
    return out.getvalue()


def turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return saved(scene(3), "JPEG", exif=exif)


def test_every_odd_kind_is_named_and_the_usual_is_not(tmp_path: Path) -> None:
    two_classes(tmp_path, 12)
    frames = [scene(n, (40, 40)).convert("P") for n in range(2)]
    odd = {
        "deep.png": saved(Image.fromarray(np.arange(1600, dtype=np.uint16).reshape(40, 40) * 40), "PNG"),
        "print.jpg": saved(scene(1).convert("CMYK"), "JPEG"),
        "moving.gif": saved(frames[0], "GIF", save_all=True, append_images=frames[1:]),
        "still.gif": saved(frames[0], "GIF"),
        "tiny.png": png(scene(2, (20, 20))),
        "long.png": png(scene(2, (300, 40))),
        "turned.jpg": turned(),
        "really-a-png.jpg": png(scene(4)),
        "glass.png": saved(scene(5).convert("RGBA"), "PNG"),
        "grey.png": saved(scene(6).convert("L"), "PNG"),
    }
    for name, data in odd.items():
        write(tmp_path, f"cat/{name}", data)
    found = {kind: {Path(path).name for path in paths} for kind, paths in odd_files(looked(tmp_path).seen).items()}
    assert found == {
        "more than 8 bits a channel": {"deep.png"},
        "CMYK colours": {"print.jpg"},
        "palette colours": {"moving.gif", "still.gif"},
        "transparency": {"glass.png"},
        "grey": {"grey.png"},
        "animated, the first frame counts": {"moving.gif"},
        "turned by EXIF": {"turned.jpg"},
        "a side below 32 pixels": {"tiny.png"},
        "one side more than 4 times the other": {"long.png"},
        "a suffix of another format": {"really-a-png.jpg"},
    }


def test_unreadable_files_are_told_with_their_reasons(tmp_path: Path) -> None:
    two_classes(tmp_path, 12)
    write(tmp_path, "cat/empty.jpg", b"")
    write(tmp_path, "cat/half.jpg", jpeg(scene(1))[:400])
    write(tmp_path, "dog/words.jpg", b"no image")
    write(tmp_path, "dog/phone.heic", b"?")
    found = audit(looked(tmp_path), "photos", {})
    assert set(found.unreadable) == {"cat/empty.jpg", "cat/half.jpg", "dog/words.jpg", "dog/phone.heic"}
    assert "0 bytes" in found.unreadable["cat/empty.jpg"]
    (said,) = [one for one in found.findings if one.key == "unreadable"]
    assert said.text.startswith("4 files of 27")
    assert not found.serious


def test_groups_and_classes_are_counted_by_split(tmp_path: Path) -> None:
    rows = ["path,label,split,group"]
    for number in range(60):
        write(tmp_path, f"{number}.jpg", jpeg(scene(number, (40, 40))))
        label = "cat" if number % 12 == 0 else "dog"
        split = "test" if number % 12 == 1 else "train"
        rows.append(f"{number}.jpg,{label},{split},patient {number // 3}")
    (tmp_path / "photos.csv").write_text("\n".join(rows))
    found = audit(survey(open_source(tmp_path / "photos.csv")), "photos.csv", {})
    assert found.balance == {"test": {"cat": 0, "dog": 5}, "train": {"cat": 5, "dog": 50}}
    assert found.shared_groups == {f"patient {4 * n}": {"test": 1, "train": 2} for n in range(5)}
    assert found.serious
    said = {one.key: one.text for one in found.findings}
    assert said["groups"].startswith(
        "5 of 20 groups stand in several splits, such as patient 0 (1 in test, 2 in train)"
    )
    assert any("1 class in test without any image: cat" in one.text for one in found.findings)
    assert any("50 images of dog, 5 of cat" in one.text for one in found.findings)


def test_a_clean_set_is_called_that_and_the_answer_does_not_change(tmp_path: Path) -> None:
    two_classes(tmp_path, 30)
    first, second = (audit(looked(tmp_path), "photos", {}).to_dict() for _ in range(2))
    assert first == second
    assert not first["serious"]
    assert first["findings"][0]["key"] == "nothing"
    assert first["copies"] == []
    assert first["schema"] == "casebase.data-audit/1"


def test_findings_are_sorted_worst_first(tmp_path: Path) -> None:
    two_classes(tmp_path, 12)
    write(tmp_path, "cat/again.jpg", jpeg(scene(1)))
    write(tmp_path, "dog/again.jpg", jpeg(scene(3)))
    write(tmp_path, "dog/empty.jpg", b"")
    levels = [str(one.level) for one in audit(looked(tmp_path), "photos", {}).findings]
    assert levels == sorted(levels, key=["alarm", "caution", "plain", "calm"].index)
    assert levels[0] == "alarm"
