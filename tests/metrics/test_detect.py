"""The scorer of boxes: rules, rows, intervals, and the confidence that validation chooses."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from tests.helpers.drawn_boxes import SQUARE, Pairs, draw_prediction, draw_target, random_pairs
from usbench.errors import ConfigError
from usbench.metrics import box_protocols
from usbench.metrics.detect_scorer import DetectScorer, best_confidence
from usbench.metrics.scores import Scores, figure_values
from usbench.results import scoring
from usbench.types import Boxes

AWAY = (50, 50, 60, 60)


def scored(pairs: Pairs, groups: int | None = None, **options) -> Scores:
    """Of classes a, b and c, the images in turn of so many groups (each its own)."""
    scorer = DetectScorer(["a", "b", "c"], **options)
    for n, (own, actual) in enumerate(pairs):
        scorer.update(f"{n:03d}", str(n % (groups or len(pairs))), own, actual)
    return scorer.result()


def test_end_to_end():
    scorer = DetectScorer(["a"], extra={"boxes": lambda t, g: float(len(g.labels))})
    scorer.update("one", "g", draw_target(SQUARE), draw_prediction((*AWAY, 0.3), (*SQUARE, 0.9)))
    scorer.update("two", "g", Boxes.empty(), Boxes.empty(scored=True))
    result = scorer.result()
    actual = figure_values(result.protocol.scores)
    assert (actual["map50_95"], actual["ar1"], actual["boxes"], actual["precision"]) == (
        1.0,
        1.0,
        1.0,
        0.5,
    )
    assert result.protocol.target_score["map50_95"].value == 1.0
    head = {"class": "a", "group": "g"}
    assert result.cases == [
        {**head, "case": "one", "truths": 1, "score": None, "matches": None},
        {
            **head,
            "case": "one",
            "truths": None,
            "score": pytest.approx(0.9),
            "matches": "m" + "1" * 10,
        },
        {
            **head,
            "case": "one",
            "truths": None,
            "score": pytest.approx(0.3),
            "matches": "m" + "0" * 10,
        },
        {**head, "case": "two", "truths": 0, "score": None, "matches": None},
    ]


def test_a_further_figure_is_the_mean_of_the_cases_where_it_is_defined():
    scorer = DetectScorer(
        ["a"], extra={"first": lambda t, g: float(g.scores[0]) if len(g.labels) else None}
    )
    scorer.update("one", "g", draw_target(SQUARE), draw_prediction((*SQUARE, 0.5)))
    scorer.update("two", "g", Boxes.empty(), Boxes.empty(scored=True))
    figure = scorer.result().protocol.scores["first"]
    assert figure.value == 0.5 and figure.n == 1


def test_a_set_without_a_case_is_undefined():
    result = DetectScorer(["a"], ["coco", "ultralytics"]).result()
    assert result.cases == []
    for protocol in result.protocols:
        for figure in (*protocol.scores.values(), *protocol.per_class["a"].values()):
            assert figure.value is None and figure.reason and figure.low is None


@pytest.mark.parametrize("rules", [[], ["voc"], ["coco", "voc"], ["coco", "coco"]])
def test_another_rule_is_a_configuration_error(rules):
    with pytest.raises(ConfigError, match="coco"):
        DetectScorer(["a"], protocols=rules)


@pytest.mark.parametrize("confidence", [-0.1, 1.1, float("nan"), "high"])
def test_a_confidence_that_is_none(confidence):
    with pytest.raises(ConfigError, match=r"metric\.confidence"):
        DetectScorer(["a"], confidence=confidence)


def test_the_first_rule_is_the_protocol_and_has_the_further_figures():
    """Those are of the matches of the rule coco whatever the protocol, and so is the case table."""
    pairs = random_pairs(0)
    first, second = (
        scored(pairs, protocols=rules)
        for rules in (["coco", "ultralytics"], ["ultralytics", "coco"])
    )
    assert (
        [protocol.name for protocol in first.protocols]
        == ["coco", "ultralytics"]
        == [protocol.name for protocol in second.protocols][::-1]
    )
    assert first.cases == second.cases
    for name in ("f1", "sens_fppi_0.25", "auroc_image", "ece", "fp_per_empty_image"):
        assert (
            first.protocol.scores[name] == second.protocol.scores[name]
            and name not in second.protocols[1].scores
        )
        assert first.protocol.per_class["a"][name] == second.protocol.per_class["a"][name]
    assert (
        figure_values(first.protocols[1].scores).items()
        <= figure_values(second.protocol.scores).items()
    )
    assert (
        second.protocol.target_score["map50"].value == pytest.approx(0.995)
        and "ar100" not in second.protocol.scores
    )
    assert (
        "sens_fppi" in first.protocol.description
        and "sens_fppi" not in first.protocols[1].description
    )


def test_every_figure_has_its_interval():
    result = scored(random_pairs(0, 60), groups=20, protocols=["coco", "ultralytics"])
    for protocol in result.protocols:
        for name, figure in protocol.scores.items():
            if "large" not in name and "medium" not in name:
                assert figure.low <= figure.value <= figure.high and figure.low < figure.high, name
        absent = {
            name: figure
            for name, figure in protocol.per_class["c"].items()
            if name[:2] in ("ma", "ar", "re")
        }
        assert all(
            figure.low is None and figure.value is None and figure.reason
            for figure in absent.values()
        )
    assert all(figure.low is None for figure in result.protocol.target_score.values())


@pytest.mark.parametrize(
    ("groups", "message"),
    [(4, "no interval: expected at least 5 groups, got 4"), (9, "rough: 9 groups"), (11, None)],
)
def test_few_groups(groups, message):
    figure = scored(random_pairs(0, 40), groups=groups).protocol.scores["f1"]
    assert (figure.low is None) == (groups < 5)
    assert figure.interval is None if message is None else figure.interval.startswith(message)


def test_a_class_that_is_rare_has_no_interval_and_neither_has_the_mean():
    """Of 12 images one has class b: it is of one group, from which no spread can be known."""
    pairs = [
        (draw_target(SQUARE), draw_prediction((*SQUARE, 0.9), (*AWAY, 0.95))) for _ in range(11)
    ]
    pairs.append((draw_target(SQUARE, labels=[1]), draw_prediction((*SQUARE, 0.9), labels=[1])))
    protocol = scored(pairs).protocol
    rare = protocol.per_class["b"]["map50_95"]
    assert (
        rare.value == 1.0
        and rare.low is None
        and rare.interval == "no interval: expected at least 5 groups, got 1"
        and (rare.n, rare.groups) == (1, 1)
    )
    mean = protocol.scores["map50_95"]
    assert mean.low is None and (mean.n, mean.groups) == (1, 1)
    assert protocol.per_class["a"]["map50_95"].low is not None


def test_false_alarms_of_four_empty_images_have_no_interval():
    """40 images of 40 groups, 4 of them without a target, none with a false alarm."""
    found = (draw_target(SQUARE), draw_prediction((*SQUARE, 0.9)))
    empty = (draw_target(), draw_prediction())
    protocol = scored([found] * 36 + [empty] * 4).protocol
    figure = protocol.scores["fp_per_empty_image"]
    assert (figure.value, figure.n, figure.groups) == (0.0, 4, 4)
    assert figure.low is None and figure.interval.endswith("at least 5 groups, got 4")
    counts = {name: (figure.n, figure.groups) for name, figure in protocol.scores.items()}
    assert counts["map50_95"] == counts["recall"] == counts["sens_fppi_1"] == (36, 36)
    assert counts["precision"] == counts["f1"] == counts["ece"] == (36, 36)
    assert counts["auroc_image"] == (40, 4)  # the groups of the rarer kind
    assert counts["map_small"] == (36, 36) and counts["map_large"] == (0, 0)


def test_the_same_twice():
    """Deterministic, whatever the names of the groups."""
    pairs = random_pairs(0, 20)
    assert scored(pairs).protocols == scored(pairs).protocols
    scorer = DetectScorer(["a", "b", "c"])
    for n, (own, actual) in enumerate(pairs):
        scorer.update(f"{n:03d}", f"hashed-{n * 7919 % 101}", own, actual)
    assert scorer.result().protocol == scored(pairs).protocol


# ---- the confidence


FEW: Pairs = [
    (draw_target(SQUARE), draw_prediction((*SQUARE, 0.7), (*AWAY, 0.6))),
    (Boxes.empty(), draw_prediction((*AWAY, 0.5))),
]


def test_the_best_confidence_of_pairs():
    assert best_confidence(iter(FEW)) == pytest.approx(0.7) and best_confidence([]) == 0.25
    # all classes in one order: class a has a hit at .6 and a miss at .2, class b a hit at .9: 2 of
    # 2 from .6 on
    two = [
        (
            draw_target(SQUARE, SQUARE, labels=[0, 1]),
            draw_prediction((*SQUARE, 0.6), (*AWAY, 0.2), (*SQUARE, 0.9), labels=[0, 0, 1]),
        )
    ]
    assert best_confidence(two) == pytest.approx(0.6)


def test_validation_chooses_the_confidence_and_the_description_says_so():
    samples = [SimpleNamespace(target=own) for own, _ in FEW]
    listed = list(zip(samples, [actual for _, actual in FEW], strict=True))
    dataset = SimpleNamespace(task="detect")

    class Validation:
        samples = SimpleNamespace(dataset=dataset)

        def __len__(self) -> int:
            return len(listed)

        def pairs(self):
            return listed

    validation = Validation()
    chosen = scoring.choose_thresholds(validation)
    assert chosen == {"confidence": pytest.approx(0.7)}
    result = scored(FEW, **chosen)
    assert "at confidence 0.7 (best F1 on validation" in result.protocol.description
    assert result.protocol.scores["f1"].value == 1.0
    assert "at confidence 0.25 (none was chosen on validation)" in scored(FEW).protocol.description


def test_the_rules_by_name():
    assert list(box_protocols.BOX_PROTOCOLS) == ["coco", "ultralytics"]
    for name, rule in box_protocols.BOX_PROTOCOLS.items():
        assert (
            rule.name == name
            and rule.version == {"coco": 2, "ultralytics": 1}[name]
            and "  " not in rule.description
            and "\n" not in rule.description
        )


def test_boxes_without_an_area_match_nothing():
    """A target and a prediction that are the same point: 0 of 0 is no overlap."""
    point = (10, 10, 10, 10)
    actual = scored(
        [(draw_target(point), draw_prediction((*point, 0.9)))], protocols=["coco", "ultralytics"]
    )
    assert [protocol.scores["map50"].value for protocol in actual.protocols] == [0.0, 0.0]


@pytest.mark.parametrize("label", [-1, 3])
def test_a_label_that_is_no_class_is_refused(label):
    """It would else count in another image's place."""
    for pair in (
        (draw_target(SQUARE, labels=[label]), draw_prediction()),
        (draw_target(SQUARE), draw_prediction((*SQUARE, 0.9), labels=[label])),
    ):
        with pytest.raises(ValueError, match=r"expected labels from 0 to 2"):
            scored([pair])
