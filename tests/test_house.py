"""The map of the house is what the imports say, and rooms stand above those that they import from."""

from xml.etree import ElementTree

import pytest
from draw_house import FILE, ROOT, House, draw
from import_graph import ImportGraph


@pytest.fixture(scope="module")
def house():
    return House.of(ROOT)


def test_the_map_is_current(house):
    assert FILE.read_text(encoding="utf-8") == draw(house), "draw it again: python scripts/draw_house.py"


def test_every_room_is_there_with_what_it_is(house):
    folders = {path.parent.name for path in ROOT.glob("core/qecforge/*/__init__.py")}
    assert set(house.rooms) == folders | {"errors", "hookspecs"}
    assert all(house.rooms.values())
    drawn = {each.text for each in ElementTree.fromstring(draw(house)).iter("{http://www.w3.org/2000/svg}text")}
    assert drawn >= set(house.rooms)
    assert drawn >= {path.name for path in ROOT.glob("plugins/*/qecforge_*")}


def test_arrows_lead_down_and_none_follows_from_others(house):
    floors = house.floors()
    assert house.arrows()
    for room, other in house.arrows():
        assert floors[room] > floors[other]
        assert other in house.imports[room]
    assert ("runs", "errors") not in house.arrows()
    assert "errors" in house.imports["runs"]


def tiny(**imports):
    return House(
        rooms=dict.fromkeys(imports, "A room"),
        imports={room: frozenset(others) for room, others in imports.items()},
        plugins={"agents": ["qecforge_a"]},
        guests=dict.fromkeys(imports, 0),
    )


def test_a_small_house_by_hand():
    house = tiny(roof={"hall", "cellar"}, hall={"cellar"}, cellar=set(), shed=set())
    assert house.floors() == {"roof": 2, "hall": 1, "cellar": 0, "shed": 0}
    assert house.arrows() == [("roof", "hall"), ("hall", "cellar")]
    assert draw(house).count("marker-end") == 2


def test_rooms_in_a_circle_are_named():
    with pytest.raises(SystemExit, match="rooms import from each other: a -> b -> a"):
        tiny(a={"b"}, b={"a"}).floors()


def test_imports_for_type_checking_alone_can_be_left_out(tmp_path):
    (tmp_path / "a.py").write_text(
        "import typing\nif typing.TYPE_CHECKING:\n    import b\nif True:\n    import c\n\n\ndef f():\n    import d\n"
    )
    for name in "bcd":
        (tmp_path / f"{name}.py").write_text("")
    assert ImportGraph.of(tmp_path).imports["a"] == {"b", "c", "d"}
    assert ImportGraph.of(tmp_path, types=False).imports["a"] == {"c", "d"}
