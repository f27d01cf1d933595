"""Groups of the report card: few in one table, of many the ends with a list of all; tasks without common groups apart."""

from __future__ import annotations

import math
import re
from dataclasses import replace

from pluralign.estimates import undefined
from pluralign.report.card_charts import heat_colours
from pluralign.report.card_data import GroupCell
from pluralign.report.card_groups import FEW, MAX_LISTED, MAX_TASKS, group_tables
from pluralign.report.card_page import card_html
from report.made_up import est
from report.made_up_card import card
from report.test_report_page import Reader


def cells(n: int, task: str = "global_oqa", name: str = "country") -> list[GroupCell]:
    """Distances that are mixed up, none twice; the first has no value."""
    values = [0.1 + 0.002 * (i * 7 % n) for i in range(n)]
    found = [GroupCell(group=f"{name} {i}", task=task, distance=est(value)) for i, value in enumerate(values)]
    return [replace(found[0], distance=undefined("nobody was asked")), *found[1:]]


def html_of(groups: list[GroupCell]) -> str:
    page = card_html(replace(card(), curves=[], calibrations=[], groups=groups))
    return page[page.index('<section id="groups"') :].partition("</section>")[0]


def test_few_groups_are_all_in_the_table() -> None:
    [table] = group_tables(cells(FEW))
    values = [row.cells[0][0].value for row in table.furthest if row.cells[0][0] is not None]
    assert values[:-1] == sorted(values[:-1], reverse=True)
    assert math.isnan(values[-1])
    assert (table.n_groups, len(table.furthest), table.nearest, table.listed) == (FEW, FEW, [], [])
    assert table.n_between == table.n_unlisted == 0


def test_of_many_groups_the_ends_are_in_the_table_and_all_in_the_list() -> None:
    groups = cells(150)
    [table] = group_tables(groups)
    ranked = [one.group for one in sorted(groups[1:], key=lambda one: -one.distance.value)]
    assert [row.group for row in table.furthest] == ranked[:10]
    assert [row.group for row in table.nearest] == ranked[-10:]  # not the one without a value
    assert [row.group for row in table.listed] == [*ranked, "country 0"]
    assert (table.n_groups, table.n_between, table.n_unlisted) == (150, 130, 0)


def test_a_page_of_many_groups_says_how_many_there_are_and_lists_each_once() -> None:
    html = html_of(cells(150))
    words = Reader(html).words
    assert "the 10 furthest and the 10 nearest of 150 groups on global_oqa" in words
    assert "130 more groups, in the list below" in words
    assert "All 150 groups, the furthest first" in words
    listed = html[html.index("<ol") :].partition("</details>")[0]
    assert sorted(re.findall(r"<li><bdi>country (\d+)", listed), key=int) == [str(i) for i in range(150)]
    assert "no value: nobody was asked" in Reader(listed).words
    assert html.partition("<ol")[0].count('<th scope="row"><bdi>') == 20


def test_colours_are_on_one_scale_over_all_groups_and_tables() -> None:
    groups = [*cells(150), GroupCell(group="old", task="ages", distance=est(0.9))]
    first, second = group_tables(groups)
    assert second.furthest[0].cells[0][1:] == heat_colours([1.0])[0]
    assert first.furthest[0].cells[0][1:] == heat_colours([first.furthest[0].cells[0][0].value, 0.9])[0]  # type: ignore[union-attr]


def test_tasks_without_a_common_group_have_tables_of_their_own() -> None:
    groups = [*cells(3, "a"), *cells(2, "b", "age"), *cells(2, "c"), *cells(2, "d", "age")]
    tables = group_tables(groups)
    assert [table.tasks for table in tables] == [["a", "c"], ["b", "d"]]
    [missing] = [row for row in tables[0].furthest if row.group == "country 2"]
    assert missing.cells[1] == (None, "", "")
    assert "–" in Reader(html_of(groups)).words


def test_a_task_joins_those_that_it_has_groups_of() -> None:
    both = [*cells(2, "c"), *cells(2, "c", "age")]
    assert [table.tasks for table in group_tables([*cells(2, "a"), *cells(2, "b", "age"), *both])] == [["a", "b", "c"]]


def test_what_has_no_room_is_counted() -> None:
    groups = [one for t in range(MAX_TASKS + 2) for one in cells(MAX_LISTED // MAX_TASKS + 5, f"task {t}")]
    [table] = group_tables(groups)
    assert len(table.tasks) == MAX_TASKS
    assert (len(table.listed), table.n_unlisted) == (MAX_LISTED // MAX_TASKS, 5)
    words = Reader(html_of(groups)).words
    assert "The 25 furthest of 30 groups" in words
    assert "2 more tasks are not shown." in words


def test_no_groups_have_no_table() -> None:
    assert group_tables([]) == []
