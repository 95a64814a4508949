"""usbench table: rows, ranks and differences by hand; LaTeX that compiles; nothing unescaped."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from tests.leaderboard.test_leaderboard import figure, make_result
from usbench.cli import table
from usbench.leaderboard import paper, paper_text
from usbench.leaderboard.rows import Row, RowScore
from usbench.results.result import Result
from usbench.results.store import save_result

# True positives of 10 target pixels in the one image of each of eight groups, without false ones:
# Dice is 2 tp / (10 + tp). `near` and `twin` change places, `far` is behind everywhere.
NEAR = (9, 8, 9, 8, 9, 8, 9, 8)
TWIN = (8, 9, 8, 9, 8, 9, 8, 9)
FAR = (3, 4, 3, 4, 3, 4, 3, 4)
GROUPS = 8
DESCRIPTION = "foreground & all of 100 %"


def cases(hits: Sequence[int], columns: Mapping[str, object] = {}) -> list[dict[str, object]]:
    rows = []
    for n, tp in enumerate(hits):
        row = {"case": f"c{n}", "class": "dura", "group": f"g{n}", "tp": tp, "fp": 0}
        rows.append({**row, "fn": 10 - tp, **columns})
    return rows


def mean_dice(hits: Sequence[int]) -> float:
    return sum(2 * tp / (10 + tp) for tp in hits) / len(hits)


def save(folder, hits, model, seed=0, **changes):
    """Save a result with its case table."""
    value = mean_dice(hits)
    scores = {
        "dice": figure(value, value - 0.05, value + 0.05),
        "iou": figure(0.5),
        "hd95_px": figure(12.345, 10, 15),
        "hd95_mm": figure(None),
    }
    made = {
        "model": model,
        "seed": seed,
        "series": f"{sum(map(ord, model)):012x}",
        "scores": scores,
        "protocol": {"name": "usbench", "version": 2, "description": DESCRIPTION},
        "primary": {"name": "dice", "value": value, "higher_is_better": True},
        **changes,
    }
    data = {"fingerprint": "f" * 64, "counts": {"test": 8}, "phantom": False, "splits": "by day"}
    content = make_result(data=data, **made)
    content["config"]["dataset"] = {"groups": "patient"}
    return save_result(folder, Result.from_json(content), cases(hits))


@pytest.fixture
def folder(tmp_path):
    """Results of three models, one with two seeds, and of a baseline."""
    results = tmp_path / "results"
    save(results, NEAR, "near", 0)
    save(results, NEAR, "near", 1)
    save(results, TWIN, "twin")
    save(results, FAR, "far_net", recipe="50%")
    save(results, FAR, "prior", None, origin="baseline", recipe=None)
    return results


def make(folder, *options: str) -> int:
    arguments = ["--dataset", "spinal", "--task", "segment", "--results", str(folder)]
    return table.main([*arguments, "--runs", str(folder / "runs"), *options])


def facts(folder, tmp_path, *options: str) -> dict[str, dict[str, object]]:
    """Each row as JSON, by its model."""
    out = tmp_path / "out.json"
    assert make(folder, "--json", str(out), *options) == 0
    return {row["model"]: row for row in json.loads(out.read_text())["rows"]}


def test_ranks_ties_and_differences_by_hand(folder, tmp_path):
    """far loses to both in all 8 groups: p = 2 / 2⁸, and Holm's 3 · that is below .05."""
    rows = facts(folder, tmp_path, "--ranks", "--differences")
    assert list(rows)[-2:] == ["far_net", "prior"]
    ranks = {name: (row["rank_first"], row["rank_last"]) for name, row in rows.items()}
    assert ranks == {"near": (1, 2), "twin": (1, 2), "far_net": (3, 3), "prior": (None, None)}
    assert {name for name, row in rows.items() if row["best"]} == {"near", "twin"}
    far = rows["far_net"]
    assert far["difference"] == pytest.approx(mean_dice(FAR) - mean_dice(NEAR))
    assert far["difference_low"] < far["difference"] < far["difference_high"] < 0
    assert far["p"] == pytest.approx(3 * 2 / 2**GROUPS)
    best, other = sorted(["near", "twin"], key=lambda name: rows[name]["difference"] is not None)
    assert rows[best]["p"] is None and rows[other]["p"] == 1
    assert rows["prior"]["difference"] is None
    assert rows["near"]["seeds"] == 2 and rows["near"]["images"] == rows["near"]["groups"] == 8


def test_markdown_is_printed_with_bold_ties(folder, capsys):
    assert make(folder, "--ranks") == 0
    output = capsys.readouterr().out
    lines = output.splitlines()
    assert lines[0] == "| Model | Recipe | Seeds | Dice ↑ | IoU ↑ | HD95 (px) ↓ | Rank |"
    near = f"**{mean_dice(NEAR):.3f}**".replace("0.", ".")
    assert sum(near in line for line in lines) == 2  # twin has the same mean
    (far,) = (line for line in lines if "far" in line)
    assert far == "| far_net | 50% | 1 | .516 [.466, .566] | .500 | 12.35 [10.00, 15.00] | 3 |"
    assert "| prior (baseline) | – | – | .516" in output
    (caption,) = lines[-1:]
    for part in (
        "Segmentation: ",
        "Protocol usbench, version 2",
        "Split: by day.",
        "n = 8 test images in 8 groups (group: patient).",
        "In brackets: 95 % intervals of one training (of several seeds the mean of their intervals)",
        "Bold: the rows that no test finds a better one than.",
        "Rank: ",
        "Holm's correction",
        "–: undefined, or not applicable.",
    ):
        assert part in caption, part


def test_csv_has_unrounded_numbers(folder, capsys):
    assert make(folder, "--csv", "--metrics", "dice,hd95_mm") == 0
    rows = {row["model"]: row for row in csv.DictReader(io.StringIO(capsys.readouterr().out))}
    assert rows["far_net"]["dice"] == f"{mean_dice(FAR):.6g}"
    assert rows["far_net"]["dice_low"] == f"{mean_dice(FAR) - 0.05:.6g}"
    assert rows["far_net"]["hd95_mm"] == "" and "iou" not in rows["far_net"]
    assert rows["near"]["protocol"] == "usbench" and rows["near"]["protocol_version"] == "2"
    assert "rank_first" not in rows["near"] and "p" not in rows["near"]


def test_latex_escapes_and_marks(folder, tmp_path, capsys):
    out = tmp_path / "table.tex"
    assert make(folder, "--latex", "--ranks", "--metrics", "dice,hd95_mm", "--out", str(out)) == 0
    assert capsys.readouterr().out == f"{out}: 4 rows\n"
    text = out.read_text()
    assert r"\toprule" in text and r"\bottomrule" in text and r"\label{tab:spinal-segment}" in text
    assert r"far\_net & 50\% & 1 & .516 [.466, .566] & -- & 3 \\" in text
    assert text.count(r"\textbf{.") == 2
    assert (
        f"% protocol: {DESCRIPTION.replace('&', chr(92) + '&').replace('%', chr(92) + '%')}" in text
    )
    assert "\\midrule\nprior (baseline)" in text  # baselines stand apart
    assert "Protocol usbench, version 2" in text and r"95 \% intervals" in text


def test_the_same_results_give_the_same_bytes(folder, tmp_path):
    texts = []
    for name in ("a", "b"):
        out = tmp_path / name
        assert make(folder, "--latex", "--differences", "--out", str(out)) == 0
        texts.append(out.read_bytes())
    assert texts[0] == texts[1] and not (folder / "runs").exists()


def test_results_of_other_data_are_left_out_with_the_reason(folder, capsys):
    other = Result.from_json(make_result(model="else", series="e" * 12))
    other = replace(other, data=replace(other.data, fingerprint="0" * 64))
    lost = replace(other, model="lost", run_id="1" * 12, status="failed", reason="no memory")
    for result in (other, replace(lost, protocols=(), primary=None)):
        save_result(folder, result)
    assert make(folder) == 0
    output = capsys.readouterr()
    assert "| else |" not in output.out
    assert f"left out: else ({other.run_id}, protocol usbench 1): " in output.err
    assert f"left out: lost ({lost.run_id}): failed (no memory)" in output.err


def test_without_tests_nothing_is_bold_and_it_says_so(tmp_path, capsys):
    save(tmp_path, NEAR, "near")
    assert make(tmp_path, "--ranks", "--differences") == 0
    output = capsys.readouterr()
    assert "**" not in output.out and "Bold" not in output.out and "Tests:" not in output.out
    assert output.err.startswith("no ranks or differences: fewer than two rows")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--metrics", "dic"], "--metrics dic: expected one of dice, iou, "),
        (["--metrics", "dice,dice"], "--metrics: expected dice once, got it 2 times"),
        (["--dataset", "spinl"], "expected one with results in {}: spinal; did you mean spinal?"),
        (["--task", "detect"], "--task detect: expected one with results in {}/spinal: segment"),
        (["--phantom"], "{}/phantom: expected results, got none; run some first"),
    ],
)
def test_an_unknown_name_is_one_line_with_the_known_ones(folder, capsys, options, says):
    assert make(folder, *options) == 2
    error = capsys.readouterr().err
    assert says.format(folder) in error and error.count("\n") == 1


def test_results_on_phantoms_alone_are_hinted_at(folder, tmp_path, capsys):
    (tmp_path / "other" / "phantom").mkdir(parents=True)
    (folder / "spinal").rename(tmp_path / "other" / "phantom" / "spinal")
    assert make(tmp_path / "other") == 2
    assert "those on phantoms need --phantom" in capsys.readouterr().err


def test_two_formats_at_once_are_refused(folder, capsys):
    with pytest.raises(SystemExit, match="2"):
        make(folder, "--latex", "--csv")


# ---- one table by hand


def row(name: str, rank: tuple[int, int] | None, **changes: object) -> Row:
    scores = {"dice": RowScore((0.5,), 0.4, 0.6), "odd_score": RowScore((None,))}
    made = {"protocol": "usbench", "version": 2, "primary": "dice", "run_ids": (name,)}
    return Row("mine", "segment", "run", name, scores=scores, rank=rank, **{**made, **changes})


def by_hand(*rows: Row, **changes: object) -> paper.PaperTable:
    made = {
        "title": "Mine",
        "rows": rows,
        "metrics": ("dice", "odd_score"),
        "data": paper.EvaluatedData(9, 0, "", "", phantom=True),
        "has_ranks": False,
        "differences": None,
        "no_intervals": "",
        "left_out": (),
    }
    return paper.PaperTable(**{**made, **changes})


def test_bold_are_all_rows_whose_range_includes_the_first_place():
    ranks = [(1, 1), (1, 3), (2, 3), None]
    shown = by_hand(*(row(str(rank), rank) for rank in ranks))
    assert [shown.is_best(each) for each in shown.rows] == [True, True, False, False]
    _, lines = paper_text.table_lines(shown)
    bold = [[cell.text for cell in line.cells if cell.is_bold] for line in lines]
    assert bold == [[".500"], [".500"], [], []]


def test_a_score_without_a_title_has_its_name_and_a_dash():
    text = paper_text.to_latex(by_hand(row("a", None)))
    assert r"Model & Seeds & Dice $\uparrow$ & odd\_score \\" in text
    assert r"a & -- & .500 [.400, .600] & -- \\" in text


def test_a_phantom_an_older_version_and_missing_intervals_are_said():
    shown = by_hand(row("a", None, old_version=True), no_intervals="no interval: 3 groups")
    text = " ".join(paper_text.caption(shown))
    assert "Segmentation: the phantom of Mine (synthetic images)." in text
    assert "n = 9 test images." in text and "Without intervals: 3 groups." in text
    assert "†: trained by an older version" in text
    assert paper_text.row_name(shown.rows[0]) == "a†"


def test_a_line_that_begins_like_an_option_is_guarded():
    text = paper_text.to_latex(by_hand(row("a", None), row("[b]", None)))
    assert "\n{}[b] & " in text


DOCUMENT = r"""\documentclass[COLUMNS]{article}
\usepackage{booktabs,graphicx}
\begin{document}
\input{table}
\end{document}
"""


@pytest.mark.process
@pytest.mark.parametrize("columns", ["onecolumn", "twocolumn"])
def test_the_latex_compiles_and_is_no_wider_than_the_text(columns, folder, tmp_path):
    """With every character that LaTeX reads as a command, and every column."""
    pdflatex = shutil.which("pdflatex")
    if pdflatex is None:
        pytest.skip("needs pdflatex (apt-get install texlive-latex-recommended)")
    evil = r"[Ünet] \& 50 % $x_1^2$ #1 ~ {a} <b> | “c” · ≥ − …"
    save(folder, FAR, "odd", None, origin="external", series=None, recipe=evil)
    options = ["--latex", "--ranks", "--differences", "--metrics", "dice,iou,hd95_px,hd95_mm"]
    assert make(folder, *options, "--out", str(tmp_path / "table.tex")) == 0
    (tmp_path / "document.tex").write_text(DOCUMENT.replace("COLUMNS", columns))
    command = [pdflatex, "-interaction=nonstopmode", "-halt-on-error", "document.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout[-3000:]
    assert (tmp_path / "document.pdf").read_bytes().startswith(b"%PDF")
    log = (tmp_path / "document.log").read_text(errors="replace")
    assert not re.findall(r"^!.*|Missing character.*|Overfull.*", log, flags=re.M)
