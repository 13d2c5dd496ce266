from __future__ import annotations

import threading
from ipaddress import ip_address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from derpman.kit import places
from derpman.kit.places import PRIVATE, UNKNOWN, Place, Places, place_of

HEADER, VECTOR = 256, 256 * 256 * 8


def city_file(path: Path, rows: dict[tuple[str, str], str]) -> Path:
    """Write an xdb file as ip2region's makers do; each range stays within one /16."""
    version = ip_address(next(iter(rows))[0]).version
    header = bytearray(HEADER)
    for at, number in ((0, 3), (2, 1), (16, version), (18, 4)):
        header[at : at + 2] = number.to_bytes(2, "little")
    vector, texts, index = bytearray(VECTOR), bytearray(), bytearray()
    size = (14, 38)[version == 6]
    index_at = HEADER + VECTOR + sum(len(text.encode()) for text in rows.values())
    for (first, last), text in rows.items():
        begin, end = ip_address(first).packed, ip_address(last).packed
        slot = (begin[0] * 256 + begin[1]) * 8
        here = index_at + len(index)
        vector[slot : slot + 8] = here.to_bytes(4, "little") + (here + size).to_bytes(4, "little")
        data = text.encode()
        for packed in (begin, end):  # version 4 addresses are stored backwards
            index += packed if version == 6 else packed[::-1]
        index += len(data).to_bytes(2, "little")
        index += (HEADER + VECTOR + len(texts)).to_bytes(4, "little")
        texts += data
    path.write_bytes(header + vector + texts + index)
    return path


@pytest.mark.parametrize(
    "ip",
    ["127.0.0.1", "::1", "10.1.2.3", "192.168.1.1", "100.64.0.1", "169.254.1.1", "fe80::1%eth0",
     "fd7a:115c:a1e0::1", "::ffff:192.168.1.1", "203.0.113.9", " 10.0.0.1 "],
)  # fmt: skip
def test_addresses_that_are_nobodys_in_particular_are_private(ip: str):
    assert place_of(ip) is PRIVATE


@pytest.mark.parametrize(
    "ip", ["", None, "x", "1.2.3", "1.2.3.4:80", "999.1.1.1", "1" * 5000, "\x00", "testclient"]
)
def test_what_is_no_address_is_unknown(ip: str | None):
    assert place_of(ip) is UNKNOWN


def test_odd_types_are_unknown():
    for odd in (1, b"1.1.1.1", [], {}):
        assert place_of(odd) is UNKNOWN  # type: ignore[arg-type] # what a careless caller may pass


def test_country_is_known_without_any_file():
    assert place_of("223.5.5.5") == Place("CN", "", "", "中国", "China")
    assert place_of("2400:3200::1").country_code == "CN"
    assert place_of("::ffff:223.5.5.5").country_code == "CN"
    assert place_of("8.8.8.8").label_en == "United States"


def test_city_comes_from_the_operators_file_in_either_layout(tmp_path: Path):
    file = city_file(
        tmp_path / "v4.xdb",
        {
            ("223.5.0.0", "223.5.255.255"): "中国|浙江省|杭州市|阿里|CN",
            ("36.110.0.0", "36.110.255.255"): "中国|0|北京|北京市|电信",
            ("8.8.0.0", "8.8.255.255"): "United States|California|0|Google|US",
        },
    )
    found = Places([file])
    assert found.place_of("223.5.5.5") == Place(
        "CN", "浙江省", "杭州市", "中国 浙江省 杭州市", "China, 浙江省, 杭州市"
    )
    assert found.place_of("36.110.1.1").label_zh == "中国 北京市"
    assert found.place_of("8.8.8.8").label_en == "United States, California"
    assert found.place_of("1.1.1.1").city == ""
    assert found.place_of("2400:3200::1").label_zh == "中国"


def test_both_families_can_have_a_file(tmp_path: Path):
    four = city_file(tmp_path / "4", {("223.5.0.0", "223.5.9.9"): "中国|浙江省|杭州市|阿里|CN"})
    six = city_file(
        tmp_path / "6", {("2400:3200::", "2400:3200::ff"): "中国|浙江省|杭州市|阿里|CN"}
    )
    found = Places([six, four])
    assert found.place_of("223.5.5.5").city == found.place_of("2400:3200::1").city == "杭州市"


def test_bad_file_is_logged_and_left_out(tmp_path: Path):
    good = city_file(tmp_path / "good", {("223.5.0.0", "223.5.9.9"): "中国|浙江省|杭州市|阿里|CN"})
    bad = {
        "empty": b"",
        "short": good.read_bytes()[:1000],
        "noise": b"\xff" * 600_000,
        "version": (9).to_bytes(2, "little") + good.read_bytes()[2:],
        "family": good.read_bytes()[:16] + b"\x05\x00" + good.read_bytes()[18:],
    }
    for name, data in bad.items():
        (tmp_path / name).write_bytes(data)
    with capture_logs() as logged:
        found = Places([tmp_path / "missing", tmp_path, *(tmp_path / name for name in bad), good])
    assert [it["event"] for it in logged] == ["places.city_file_unusable"] * (len(bad) + 2)
    assert found.place_of("223.5.5.5").city == "杭州市"


def test_file_that_is_damaged_inside_or_goes_away_leaves_the_country(tmp_path: Path):
    file = city_file(tmp_path / "v4", {("223.5.0.0", "223.5.9.9"): "中国|浙江省|杭州市|阿里|CN"})
    whole = file.read_bytes()
    for damaged in (whole[:-10], whole[: HEADER + VECTOR], whole[:-4] + b"\xff\xff\xff\x7f"):
        file.write_bytes(damaged)
        assert Places([file]).place_of("223.5.5.5") == Place("CN", "", "", "中国", "China")
    file.write_bytes(whole.replace("浙".encode(), b"\xff\xff\xff"))
    assert Places([file]).place_of("223.5.5.5").label_zh == "中国"
    found = Places([file])
    file.unlink()
    assert found.place_of("223.5.5.5").label_zh == "中国"


def test_all_services_share_the_files_given_at_the_start(tmp_path: Path):
    file = city_file(tmp_path / "v4", {("223.5.0.0", "223.5.9.9"): "中国|浙江省|杭州市|阿里|CN"})
    assert place_of("223.5.5.5").city == ""
    try:
        places.use_city_files([file])
        assert place_of("223.5.5.5").city == "杭州市"
    finally:
        places.use_city_files([])
    assert place_of("223.5.5.5").city == ""


def test_threads_may_ask_at_once_before_anything_is_loaded():
    found, answers = Places(), list[str]()
    asking = [
        threading.Thread(target=lambda: answers.append(found.place_of("223.5.5.5").country_code))
        for _ in range(8)
    ]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join()
    assert answers == ["CN"] * 8


@given(st.ip_addresses().map(str) | st.text())
def test_any_text_has_a_place_with_labels(ip: str):
    place = place_of(ip)
    assert 0 < len(place.label_zh) <= 128
    assert 0 < len(place.label_en) <= 128
