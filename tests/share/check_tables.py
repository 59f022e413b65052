"""Reads the tables in tests/golden/results.* with astropy and compares them with the numbers of tests/share/results.rs.

    python tests/share/check_tables.py [DIR]

Prints one line per table, and ends with status 1 if anything differs. The test `tables_are_what_astropy_read` checks that
Specola writes exactly these bytes. After a change of the tables it writes the new tables to a folder: pass it as DIR.
Checked with astropy 8.0.2.
"""

import math
import re
import sys
import warnings
from pathlib import Path

import astropy.io.fits
from astropy import units as u
from astropy.io import votable
from astropy.table import Table

warnings.simplefilter("error")
HERE = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent.parent / "golden"

# Row 0 of tests/share/results.rs, with three digits more than the two digits of the errors.
ROW0 = {"e_teff": 81.98765, "e_logg": 0.0912345, "e_feh": 0.0512345, "alpha_fe": 0.0712, "e_rv": 4.512345, "ra": 132.825, "dec": -11.8}
UNITS = {"teff": u.K, "e_teff": u.K, "rv": u.km / u.s, "e_rv": u.km / u.s, "ra": u.deg, "dec": u.deg}
UCDS = {
    "id": "meta.id;meta.main", "teff": "phys.temperature.effective", "e_teff": "stat.error;phys.temperature.effective",
    "logg": "phys.gravity", "feh": "phys.abund.Fe", "alpha_fe": "phys.abund.X", "rv": "spect.dopplerVeloc.opt",
    "flags": "meta.code.qual", "ra": "pos.eq.ra;meta.main", "dec": "pos.eq.dec;meta.main",
}
FILES = ["spec-55859-F5902_sp01-034.fits.gz", 'mit Umlaut ä, "quoted" & <odd>.fits', "M67/star 7.csv"]
SHA = "c0ffee00" * 7 + "c0ffee42"


def number(cell):
    return math.nan if cell is None or getattr(cell, "mask", False) is True or str(cell) in ("--", "") else float(cell)


def text(cell):
    return "" if getattr(cell, "mask", False) is True or str(cell) == "--" else str(cell)


def check(name, table, full, is_ascii=False):
    assert len(table) == 7, len(table)
    # All digits of 64-bit identifiers.
    assert [text(c) for c in table["id"]] == [str(5853498713190525696 + i) for i in range(7)]
    for i in range(7):
        file = FILES[i % 3].replace("ä", "?") if is_ascii else FILES[i % 3]
        assert text(table["file"][i]).strip() == file, (file, table["file"][i])
        assert text(table["survey"][i]) == ["LAMOST LRS", "SDSS", "other"][i % 3]
    for column, value in ROW0.items():
        if column in table.colnames:
            assert math.isclose(number(table[column][0]), value, rel_tol=2e-5), (column, table[column][0])
    assert math.isnan(number(table["e_alpha_fe"][0])) and math.isnan(number(table["teff"][2]))
    assert number(table["snr"][2]) == 12.35 and text(table["flags"][2]) == "refused"
    assert text(table["flags"][0]).count("|") == 10
    if full:
        for column, unit in UNITS.items():
            assert table[column].unit == unit, (column, table[column].unit)
        assert text(table["model"][0]) == "lrs-mlp 1" and text(table["model"][2]) == ""
        assert "continuum: degree 5, 3" in text(table["processing_history"][0]) and "medium (assumed)" in text(table["processing_history"][0])
        assert text(table["processing_history"][2]).startswith("refused: only 40 %")
        assert math.isnan(number(table["ra"][1]))
    print(f"{name}: {len(table)} rows, {len(table.colnames)} columns agree")


plain = Table.read(HERE / "results.csv", format="csv", converters={"id": [__import__("astropy.io.ascii", fromlist=["x"]).convert_numpy(str)]})
check("csv", plain, full=False)
ecsv = Table.read(HERE / "results.ecsv")
check("ecsv", ecsv, full=True)
assert ecsv.meta["rows"] == "7" and SHA in ecsv.meta["models"][0]
vot = Table.read(HERE / "results.vot")
check("votable", vot, full=True)
report = votable.validate(HERE / "results.vot", output=None)
assert not re.search(r"\b[WE]\d\d: ", report), report
parsed = votable.parse(HERE / "results.vot", verify="exception")
first = parsed.get_first_table()
for column, ucd in UCDS.items():
    assert first.get_field_by_id(column).ucd == ucd, column
infos = {info.name: info.value for info in parsed.resources[0].infos}
assert infos["rows"] == "7" and SHA in infos["model"]
with astropy.io.fits.open(HERE / "results.fits") as hdus:
    hdus.verify("exception")
fits = Table.read(HERE / "results.fits")
check("fits", fits, full=True, is_ascii=True)
assert fits.meta["MODEL1"] == "lrs-mlp 1" and fits.meta["MODSHA1"] == SHA
for column in plain.colnames:
    for other in (ecsv, vot, fits):
        for a, b in zip(plain[column], other[column]):
            if plain[column].dtype.kind == "f":
                assert number(a) == number(b) or math.isnan(number(a)) and math.isnan(number(b)), (column, a, b)
print("the numbers in all four tables are equal")
