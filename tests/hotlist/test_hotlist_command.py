"""`mahalla hotlist` in the office's hands."""

from __future__ import annotations

import json
import re
import time

import pytest
from office import Office

from agent.cli import main
from agent.hotlist.opening import open_hotlist

HEAD = "plate,country,case,reason,expires\n"


@pytest.fixture
def office(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    office = Office(tmp_path)
    office.signer()
    (tmp_path / "boxes").mkdir()
    office.box().with_suffix(".pem").rename(tmp_path / "boxes" / "north.pem")
    return office


@pytest.fixture
def make(office, capsys):
    """Runs `make` over a table; answers with its exit code, its words and its complaints."""

    def run(table, *more, encoding="utf-8"):
        (office.folder / "l.csv").write_bytes(table.encode(encoding))
        usual = ["--name", "stolen", "--recipients", "boxes", "--sign", "office.key"]
        code = main(["hotlist", "make", "l.csv", *usual, "--out", "stolen.list", *more])
        out, err = capsys.readouterr()
        return code, out, err

    return run


def opened(office, *signers):
    return open_hotlist(
        office.folder / "stolen.list",
        name="stolen",
        signers=[office.signer(name) for name in signers or ("office",)],
        keys=[office.box()],
    )


def date(days):
    return time.strftime("%Y-%m-%d", time.gmtime(time.time() + days * 86_400))


@pytest.mark.parametrize(
    ("written", "meant", "told"),
    [
        ("01A123BC", "01A123BC", ""),
        ("01 A 123 BC", "01A123BC", "spaces and dashes"),
        ("01-A-123–BC", "01A123BC", "spaces and dashes"),
        ("01a123bc", "01A123BC", "small letters"),
        ("01А123ВС", "01A123BC", "Cyrillic letters"),
        ("01 а 123 вс", "01A123BC", "spaces and dashes, small letters, Cyrillic letters"),
        ("10К555ХУ", "10K555XY", "Cyrillic letters"),
        ("O1A123BC", "01A123BC", "O and 0"),
        ("01A1O3BC", "01A103BC", "O and 0"),
        ("01А123ОО", "01A123OO", "Cyrillic letters"),
    ],
)
def test_make_mends_a_plate_and_prints_what_it_did(office, make, written, meant, told):
    code, out, err = make(f"{HEAD}{written},,77-1,theft,\n")
    assert (code, err) == (0, "")
    lines = [line for line in out.splitlines() if line.startswith("l.csv:")]
    assert lines == ([f"l.csv: line 2: {written} -> {meant} ({told})"] if told else [])
    assert opened(office).find("UZ", meant, 0)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("01A12BC,,1,theft,", "01A12BC is no plate of UZ"),
        ("01Ж123BC,,1,theft,", "Ж (cyrillic capital letter zhe) is on no plate"),
        ("01A123BC!,,1,theft,", "! (exclamation mark) is on no plate; leave it out"),
        (",,1,theft,", "the plate is missing"),
        ("01A123BC,,,theft,", "the case number is missing"),
        ("01A123BC,,1,,", "the reason is missing"),
        ("01A123BC,,1,sought: 01 a 123 вс,", "the reason has the plate of line 4 in it"),
        ("01A103BC,,1,sought: 01 A 1O3 BC,", "the reason has the plate of line 4 in it"),
        ("01A123BC,,1,twin of 75-b-777-aa,", "the reason has the plate of line 2 in it"),
        ("01A123BC,,O1A123BC,theft,", "the case number has the plate of line 4 in it"),
        (f"01A123BC,,{'7' * 61},theft,", "the case number has 61 characters; at most 60"),
        ("01A123BC,XX,1,theft,", "no plates are known of country XX; of UZ, "),
        ("01A123BC,,1,theft,soon", "soon is no date; write it as 2026-01-31"),
        (f"01A123BC,,1,theft,{date(-1)}", "expired on "),
        ("01A123BC,,1,theft,,", "has 6 cells, not 5; put quotes around a text with ,"),
    ],
)
def test_make_refuses_the_whole_table_for_one_wrong_line(office, make, line, said):
    code, _, err = make(f"{HEAD}75B777AA,,7,theft,\n\n{line}\n")
    assert code == 1
    first, last = err.splitlines()
    assert first.startswith("mahalla hotlist: l.csv: line 4: ")
    assert said in first
    assert last == "mahalla hotlist: nothing is written: mend these lines, or --skip-bad"
    assert not (office.folder / "stolen.list").exists()


def test_make_cuts_what_is_sought_for_too_long_and_names_rarer_kinds_of_plates(office, make):
    code, out, _ = make(f"{HEAD}01A123BC,,1,theft,{date(60)}\n75055KA,,2,theft,\n")
    assert code == 0
    assert f"l.csv: line 2: {date(60)} -> " in out
    assert "(30 days at most)" in out
    assert re.search(r"line 3: 75055KA is taken for a \S+ plate", out)
    entry = opened(office).find("UZ", "01A123BC", 0)
    assert entry.expires_ms == pytest.approx((time.time() + 30 * 86_400) * 1000, abs=60_000)


def test_make_refuses_the_same_plate_twice_however_it_is_written(make):
    code, _, err = make(f"{HEAD}01A123BC,,1,theft,\n01 а 123 вс,uz,2,theft,\n")
    assert code == 1
    assert "line 3: 01A123BC is in line 2 already" in err


def test_make_skip_bad_leaves_wrong_lines_out_and_says_so(office, make):
    table = f"{HEAD}01A123BC,,,theft,\n01A123BC,,1,theft,\n75B777AA,,2,theft,\n9,,3,x,\n"
    code, out, err = make(table, "--skip-bad")
    assert code == 0
    assert "2 plates, 2 wrong lines left out" in out
    assert len(err.splitlines()) == 2
    assert opened(office).size == 2


def test_make_takes_semicolons_a_byte_order_mark_and_columns_in_any_order(office, make):
    table = "\ufeffReason;Case;Plate\r\ntheft, at night;7/1;01A123BC\r\n"
    assert make(table)[0] == 0
    assert opened(office).find("UZ", "01A123BC", 0).reason == "theft, at night"


def test_make_takes_a_table_as_excel_saves_it_in_a_russian_windows(office, make):
    code, out, err = make("Госномер;Дело;Причина\r\n01А123ВС;7/1;кража\r\n", encoding="cp1251")
    assert (code, err) == (0, "")
    assert "l.csv: is not UTF-8: taken for Windows-1251, look at the reasons" in out
    assert opened(office).find("UZ", "01A123BC", 0).reason == "кража"


def test_make_takes_a_table_as_excel_saves_it_as_unicode_text(office, make):
    table = "Давлат рақами\tИш рақами\tСабаб\r\n01А123ВС\t7/1\tўғирланган, тунда\r\n"
    code, _, err = make(table, encoding="utf-16")
    assert (code, err) == (0, "")
    assert opened(office).find("UZ", "01A123BC", 0).reason == "ўғирланган, тунда"


def test_make_takes_a_plate_of_no_form_where_the_country_is_left_open(office, make):
    code, _, err = make(f"{HEAD}12345678,,1,x,\n")
    assert (code, "if it is right, give it the country ?" in err) == (1, True)
    code, out, _ = make(f"{HEAD}12345678,?,1,x,\n")
    assert (code, "line 2: 12345678 is taken as it stands, of any country" in out) == (0, True)
    assert opened(office).find("?", "12345678", 0)


def test_make_of_an_empty_table_takes_back_every_plate_if_that_is_meant(office, make):
    assert make(f"{HEAD}01A123BC,,1,x,\n")[0] == 0
    code, _, err = make(HEAD)
    assert (code, opened(office).size, "--empty" in err) == (1, 1, True)
    code, _, err = make(f"{HEAD}01A12,,1,x,\n", "--empty", "--skip-bad")  # a table gone wrong
    assert (code, opened(office).size) == (1, 1)
    assert make(HEAD, "--empty")[0] == 0
    assert opened(office).size == 0


def test_make_takes_the_folder_that_site_build_writes(office, make):
    (office.folder / "boxes" / "south").mkdir()
    for name in ("box", "ca"):  # of `site build`: the box's certificate, and who has signed it
        office.box(name).with_suffix(".pem").rename(office.folder / "boxes/south" / f"{name}.pem")
    code, out, err = make(f"{HEAD}01A123BC,,1,x,\n")
    assert (code, err) == (0, "")
    assert re.search(r"^sealed to north \(key [0-9a-f]+\), south \(key [0-9a-f]+\)$", out, re.M)


@pytest.mark.parametrize(
    "head", ["raqam,ish,sabab", "Номер;Номер дела;Основание", "рақам,иш,сабаб"]
)
def test_make_knows_the_columns_in_other_words(office, make, head):
    gap = ";" if ";" in head else ","
    assert make(f"{head}\n{gap.join(('01A123BC', '7/1', 'x'))}\n")[0] == 0
    assert opened(office).find("UZ", "01A123BC", 0).case == "7/1"


@pytest.mark.parametrize(
    ("table", "encoding", "said"),
    [
        (f"{HEAD}01A123BC,,1,x,\n\x98", "latin-1", "is no text; save it as CSV UTF-8"),
        ("01A123BC,,1,theft,\n", "utf-8", "line 1 must name the columns"),
        ("plate,case\n01A123BC,1\n", "utf-8", "; reason is missing"),
        ("plate,case,reason,colour\n01A123BC,1,x,red\n", "utf-8", "; colour is none of them"),
        ("plate,case,reason,\n01A123BC,1,x,\n", "utf-8", "; an empty heading is none of them"),
        ('plate,case,reason\n01A123BC,1,"x\n', "utf-8", "line 2: "),
        ("", "utf-8", "line 1 must name the columns"),
        (HEAD, "utf-8", "has no plates"),
    ],
)
def test_make_of_what_is_no_such_table_is_one_line(make, table, encoding, said):
    code, _, err = make(table, encoding=encoding)
    assert code == 1
    assert err.startswith("mahalla hotlist: l.csv: ")
    assert said in err
    assert err.count("\n") == 1


def test_make_entry_may_end_before_or_after_the_list(office, make):
    table = f"{HEAD}01A123BC,,1,x,{date(1)}\n75B777AA,,2,x,{date(28)}\n30C555CC,,3,x,\n"
    code, out, _ = make(table, "--expires", "2d")
    assert code == 0
    assert "sought for longer than the list lasts: 1; make it again by then" in out
    hotlist, now_ms = opened(office), time.time_ns() // 1_000_000
    assert hotlist.expires_ms == pytest.approx(now_ms + 2 * 86_400_000, abs=60_000)
    assert hotlist.find("UZ", "01A123BC", now_ms).expires_ms % 86_400_000 == 0
    assert hotlist.find("UZ", "30C555CC", now_ms).expires_ms == hotlist.expires_ms


def test_make_with_two_signatures_asks_the_box_for_both(office, make):
    office.signer("city")
    assert make(f"{HEAD}01A123BC,,1,x,\n", "--sign", "city.key")[0] == 0
    assert opened(office, "office", "city").size == 1


@pytest.mark.parametrize(
    ("more", "code", "said"),
    [
        (["--sign", "office.key"], 2, "--sign names one key twice"),
        (["--sign", "a.key", "--sign", "b.key"], 2, "--sign is given once or twice"),
        (["--sign", "gone.key"], 1, "gone.key: No such file or directory"),
        (["--sign", "office.pub"], 1, "office.pub: is the public half"),
        (["--expires", "31d"], 2, "--expires 31d is out of range; from 1h to 30d"),
        (["--expires", "soon"], 2, '--expires "soon" is no duration'),
        (["--version", "0"], 2, "--version is a number from 1 on"),
        (["--name", "Stolen"], 2, "--name Stolen: small letters"),
        (["--out", "l.csv"], 2, "--out is the table itself"),
        (["--out", "no/stolen.list"], 1, "no/stolen.list: cannot be written: No such file"),
        (["--recipients", "nowhere"], 1, "nowhere: is no folder"),
        (["--recipients", "empty"], 1, "empty: is empty"),
        (["--recipients", "odd"], 1, "odd/readme.txt: is no PEM public key"),
    ],
)
def test_make_that_cannot_be_is_one_line(office, make, more, code, said):
    (office.folder / "empty").mkdir()
    (office.folder / "odd").mkdir()
    (office.folder / "odd" / "readme.txt").write_text("keys of the boxes")
    found, _, err = make(f"{HEAD}01A123BC,,1,x,\n", *more)
    assert found == code
    assert said in err
    assert err.count("\n") == 1


def test_make_versions_follow_the_clock_unless_given(office, make):
    make(f"{HEAD}01A123BC,,1,x,\n")
    assert re.fullmatch(r"20\d{12}", str(opened(office).version))
    make(f"{HEAD}01A123BC,,1,x,\n", "--version", "12")
    assert opened(office).version == 12


def test_make_says_what_false_hits_to_expect(make, monkeypatch, tmp_path):
    table = f"{HEAD}01A123BC,,1,x,\n"
    monkeypatch.setenv("MAHALLA_MODELS", str(tmp_path))
    said = make(table, "--cars", "40000")[1].splitlines()[-1]
    assert said == (
        "false hits to expect: not measured for this reader; for example exact practically "
        "none, alike one in 200 days, at 40000 cars a day (0.10% wrong readings, 1.5 texts a "
        "reading)"
    )
    card = tmp_path / "plate-text" / "model.toml"
    card.parent.mkdir()
    card.write_text("[figures]\nwrong_rate = 0.004\ncandidates = 2\n")
    said = make(table, "--cars", "40000")[1].splitlines()[-1]
    assert said == (
        "false hits to expect: exact one in 25000 days, alike one in 100 days, at 40000 cars a day "
        "(0.40% wrong readings, 2 texts a reading)"
    )


def test_show_tells_what_a_list_says_and_no_plate(office, make, capsys):
    make(f"{HEAD}01A123BC,,77-1,theft,\n", "--version", "5")
    assert main(["hotlist", "show", "stolen.list"]) == 0
    out = capsys.readouterr().out
    assert "list       stolen, version 5" in out
    assert "NOT CHECKED: give --signer" in out
    assert "77-1" not in out
    shown = ["hotlist", "show", "stolen.list", "--signer", "office.pub", "--key", "box-north.key"]
    assert main(shown) == 0
    out = capsys.readouterr().out
    assert "(checked)" in out
    assert "  77-1  theft  until 20" in out
    assert "01A123BC" not in out
    assert main([*shown, "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["version"], facts["expired"], facts["signatures_checked"]) == (5, False, True)
    assert [entry["case"] for entry in facts["entries"]] == ["77-1"]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--signer", "city.pub"], "stolen.list: is not signed by key"),
        (["--key", "box-south.key"], "stolen.list: is not sealed to a key of this box"),
        (["--key", "office.key"], "nothing can be sealed to a key of this kind"),
    ],
)
def test_show_with_a_wrong_key_is_a_problem_in_one_line(office, make, capsys, more, said):
    make(f"{HEAD}01A123BC,,1,x,\n")
    office.signer("city")
    office.box("south")
    assert main(["hotlist", "show", "stolen.list", *more]) == 1
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1


def test_show_with_the_certificates_names_the_boxes(office, make, capsys):
    make(f"{HEAD}01A123BC,,1,x,\n")
    capsys.readouterr()
    assert main(["hotlist", "show", "stolen.list", "--recipients", "boxes"]) == 0
    assert re.search(r"^sealed to  north \(key [0-9a-f]+\)$", capsys.readouterr().out, re.M)
    (office.folder / "boxes" / "north.pem").unlink()
    office.box("south").with_suffix(".pem").rename(office.folder / "boxes" / "south.pem")
    assert main(["hotlist", "show", "stolen.list", "--recipients", "boxes"]) == 0
    assert re.search(r"^sealed to  unknown key [0-9a-f]+$", capsys.readouterr().out, re.M)


def test_show_of_an_expired_list_is_a_problem(office, capsys):
    office.box().with_suffix(".pem").write_bytes((office.folder / "boxes/north.pem").read_bytes())
    office.make("UZ 01A123BC", made_ms=0)
    assert main(["hotlist", "show", "stolen.list"]) == 1
    assert "expires    1970-01-08 00:00 UTC EXPIRED" in capsys.readouterr().out


def test_keygen_writes_a_pair_that_signs(office, make, capsys):
    assert main(["hotlist", "keygen", "--out", "city"]) == 0
    assert "city.pub  key " in capsys.readouterr().out
    assert (office.folder / "city.key").stat().st_mode & 0o777 == 0o600
    assert make(f"{HEAD}01A123BC,,1,x,\n", "--sign", "city.key")[0] == 0
    assert main(["hotlist", "keygen", "--out", "city"]) == 1
    assert "city.key: is there already" in capsys.readouterr().err
    assert main(["hotlist", "keygen", "--out", ""]) == 1
    assert "names no file" in capsys.readouterr().err
