from __future__ import annotations

from pathlib import Path

import pytest

from facet.evaluation.datasets.labels import LabelError
from facet.evaluation.datasets.track_labels import Span, of_enrolled, presences, read_track_labels, within_clip

LABELS = Path(__file__).resolve().parents[4] / "facet" / "evaluation" / "datasets" / "clips"


def written(folder: Path, *lines: str) -> Path:
    path = folder / "labels.csv"
    path.write_text("\n".join(lines), "utf-8")
    return path


def test_lines_keep_their_order_and_comments_are_skipped(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "\ufeff# what it is",
        "subject,start,end,note,face,x1,y1,x2,y2",
        "Jose\u0301, 0.5 ,2,,visible,0,10,20.5,30",
        "",
        "# later",
        "Jos\u00e9,2,3,turned away,hidden",
        ",0,3",
    )
    assert read_track_labels(path) == (
        Span(0.5, 2, "Jos\u00e9", region=(0, 10, 20.5, 30), line=3),
        Span(2, 3, "Jos\u00e9", hidden=True, line=6),
        Span(0, 3, "", line=7),
    )


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ([], "has no line that says who is there"),
        (["start,end,subject"], "has no line that says who is there"),
        (["# nothing", "start,subject", "0,Ann"], "line 2: has no column end; start, end and subject are needed"),
        (["start,end,subject", "0,1,Ann", "x,2,Ann"], "line 3: start is 'x', no number"),
        (["start,end,subject", "nan,2,Ann"], "line 2: start is 'nan', no number"),
        (["start,end,subject", "0,inf,Ann"], "line 2: end is 'inf', no number"),
        (["start,end,subject", "0"], "line 2: end is empty"),
        (["start,end,subject", "2,2,Ann"], "line 2: start is 2 and end 2: expected 0 <= start < end"),
        (["start,end,subject", "-1,2,Ann"], "line 2: start is -1 and end 2"),
        (["start,end,subject", "0,2,Ann,Bo"], "line 2: has 4 fields, the header 3"),
        (["start,end,subject,face", "0,2,Ann,turned"], "line 2: face is 'turned'; it must be visible, hidden or empty"),
        (["start,end,subject,face", "0,2,,hidden"], "line 2: is of a stranger whose face is hidden"),
        (["start,end,subject,x1,y1,x2,y2", "0,2,Ann,0,0,5"], "line 2: y2 is empty"),
        (["start,end,subject,x1,y1,x2,y2", "0,2,Ann,9,0,5,5"], "line 2: x1,y1,x2,y2 is 9,0,5,5: expected x1 < x2"),
        (["start,end,subject", "1,3,Ann", "0,2,Ann"], "line 2: Ann is there already: overlaps with line 3"),
        (["start,end,subject", '0,1,"Ann\r\r'], ""),
    ],
)
def test_errors_name_the_file_and_the_line(tmp_path: Path, lines: list[str], problem: str) -> None:
    path = written(tmp_path, *lines)
    if not problem:
        assert read_track_labels(path)
        return
    with pytest.raises(LabelError) as error:
        read_track_labels(path)
    assert problem in str(error.value)
    assert str(path) in str(error.value)


def test_labels_that_extend_beyond_the_clip_are_refused(tmp_path: Path) -> None:
    spans = [Span(0, 9.2, "Ann", line=2)]
    within_clip(tmp_path, spans, 9.176)
    with pytest.raises(LabelError, match=r"line 2: ends at 9\.2 s, and the clip at 8\.000 s"):
        within_clip(tmp_path, spans, 8)


def test_a_subject_who_is_not_enrolled_is_a_stranger_while_the_face_is_visible(tmp_path: Path) -> None:
    spans = [Span(0, 1, "Ann"), Span(1, 2, "Bo", presence="first"), Span(2, 3, "Bo", hidden=True), Span(3, 4, "")]
    found = of_enrolled(tmp_path, spans, known={"Ann", "Bo"}, enrolled={"Ann"})
    assert found == [Span(0, 1, "Ann"), Span(1, 2, ""), Span(3, 4, "")]


def test_a_subject_without_a_gallery_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LabelError, match="line 4: the gallery has no folder 'Anne'"):
        of_enrolled(tmp_path, [Span(0, 1, "Anne", line=4)], known={"Ann"}, enrolled={"Ann"})


def test_spans_with_one_presence_word_are_one_presence() -> None:
    first, turned = Span(1, 2, "Ann", presence="in"), Span(0, 1, "Ann", hidden=True, presence="in")
    alone, unseen, stranger = Span(3, 4, "Ann"), Span(5, 6, "Ann", hidden=True), Span(0, 9, "")
    found = presences([alone, first, turned, unseen, stranger])
    assert [(each.start, each.end, each.spans) for each in found] == [(1, 2, (turned, first)), (3, 4, (alone,))]


@pytest.mark.parametrize("path", sorted(LABELS.glob("*.csv")), ids=lambda path: path.name)
def test_the_labels_of_the_repository_are_readable(path: Path) -> None:
    assert presences(read_track_labels(path))
    assert "# sha256 " in path.read_text("utf-8")
