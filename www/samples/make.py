"""Makes the samples of the page: python make.py path/to/grid path/to/real
(the folders of spectra.npz, and of gaia_xp_apogee.npz)

Three stars as LAMOST would observe them: nodes of Specola's synthetic grid at R 1800 with a radial velocity, noise, a
tilted flux calibration and a few masked pixels, in the layout of LAMOST DR9 and later. Their true labels are in
`index.json`.

One star as the prisms of Gaia observe it: the mean of real spectra of stars with similar APOGEE labels, in the layout of the
archive's sampled spectra. It is no star's spectrum; its labels are their mean labels, its errors those of a single one.

A training set: sixty nodes at R 900, a resolution outside the training range of the shipped network, and a table of
their true [Fe/H].

`sets.json` lists these three sets for the page, each with its provenance.
"""

import gzip
import io
import json
import sys
import zipfile

import numpy as np
from astropy.io import fits

C_KMS = 299_792.458
STARS = [
    # file, title, labels (teff, logg, feh, alpha_fe) of the nearest node, rv km/s, S/N
    ("g-dwarf.fits.gz", "A star like the Sun", (5800, 4.4, 0.0, 0.0), -42.0, 60),
    ("halo-star.fits.gz", "A metal-poor star of the halo", (6000, 4.0, -1.6, 0.35), 218.0, 45),
    ("f-turnoff.fits.gz", "An F star at the turn-off", (6400, 4.0, -0.6, 0.2), 15.0, 25),
]


def air_to_vacuum(air):
    """Vacuum wavelengths from air wavelengths, Å."""
    s2 = (1e4 / air) ** 2
    return air * (1 + 8.336624212083e-5 + 2.408926869968e-2 / (130.1065924522 - s2) + 1.599740894897e-4 / (38.92568793293 - s2))


def lamost(grid):
    """Writes the LAMOST samples and index.json; returns the file names."""
    labels = grid["labels"]
    rng = np.random.default_rng(1)
    index = []
    for file, title, target, rv, snr in STARS:
        node = nearest(labels, target)
        lines = grid["normalised_flux_x10000"][node] / 1e4
        wave = air_to_vacuum(grid["wavelength_air_aa"])
        continuum = np.interp(grid["wavelength_air_aa"], grid["continuum_wavelength_aa"], grid["continuum"][node])
        flux = lines * continuum / continuum.mean()
        wave = wave * (1 + rv / C_KMS)

        observed_wave = 10 ** (3.5682 + 1e-4 * np.arange(1900))
        observed_wave = observed_wave[(observed_wave > wave[0] + 8) & (observed_wave < wave[-1] - 8)]
        clean = convolve(wave, flux, observed_wave, observed_wave * np.sqrt(1 / 1800**2 - 1 / 5000**2) / 2.3548)
        clean *= 400 * np.exp(0.3 * (observed_wave - 4800) / 800)
        error = np.sqrt(clean * clean.mean()) / snr
        ivar = error**-2.0
        noisy = clean + error * rng.standard_normal(observed_wave.size)
        bad = rng.integers(100, observed_wave.size - 100, 6)
        ivar[bad], noisy[bad] = 0, 0

        n = observed_wave.size
        columns = [
            fits.Column(name, f"{n}E", array=values[None].astype("f4"))
            for name, values in [("FLUX", noisy), ("IVAR", ivar), ("WAVELENGTH", observed_wave)]
        ] + [fits.Column(name, f"{n}I", array=np.zeros((1, n), "i2")) for name in ("ANDMASK", "ORMASK")]
        primary = fits.PrimaryHDU()
        for key, value, comment in [
            ("OBSID", node, "node of the synthetic grid"),
            ("DATA_V", "SYNTHETIC", "made by Specola, no observation"),
            ("TELESCOP", "LAMOST", "layout and resolution"),
            ("VACUUM", True, "wavelengths in vacuum"),
            ("HELIO", True, "velocity still in it"),
            ("CLASS", "STAR", ""),
        ]:
            primary.header[key] = (value, comment)
        table = fits.BinTableHDU.from_columns(columns, name="COADD")
        buffer = gzip.compress(to_bytes(fits.HDUList([primary, table])), mtime=0)
        write(file, buffer)
        truth = {k: round(float(v), 3) for k, v in zip(("teff", "logg", "feh", "alpha_fe"), labels[node])} | {"rv": rv}
        template = "Synthetic: node {} of Specola's own grid at R 1800, S/N {}. True: Teff {:.0f} K, log g {:.2f}, [Fe/H] {:+.2f}, [α/Fe] {:+.2f}, RV {:+.0f} km/s."
        provenance = template.format(node, snr, *labels[node][:4], rv).replace("-", "−").replace("  ", " ")
        index.append({"file": file, "title": title, "provenance": provenance, "truth": truth})
    write_json("index.json", index)
    return [star["file"] for star in index]


def xp(apogee, target, count=10):
    """Writes the Gaia XP sample; returns its labels."""
    low, high = apogee["flux_min"][:, None], apogee["flux_max"][:, None]
    flux = low + apogee["flux_u16"] / 65535.0 * (high - low)
    error = apogee["err_min"] * np.exp(apogee["err_log1000_u16"] / 1000.0)
    labels = np.stack([apogee[name] for name in ("teff", "logg", "fe_h", "alpha_m")], axis=1).astype(float)
    # Little dust: stars of the same labels then have nearly the same spectrum.
    is_clear = np.isfinite(labels).all(axis=1) & (apogee["ak_targ"] > 0) & (apogee["ak_targ"] < 0.04)
    distance = np.where(is_clear, (((labels - target) / (150, 0.2, 0.15, 0.1)) ** 2).sum(axis=1), np.inf)
    near = np.argsort(distance)[:count]
    relative = flux[near] / flux[near].mean(axis=1, keepdims=True)
    clean, sigma = relative.mean(axis=0), np.median(error[near] / flux[near], axis=0)
    unit = float(np.median(apogee["medflux"][near] * flux[near].mean(axis=1)))
    wave = 336.0 + 2.0 * np.arange(clean.size)
    rows = [f"1,{w:.1f},{f:.6e},{f * s:.3e}" for w, f, s in zip(wave, unit * clean, sigma)]
    write("gaia-xp.csv.gz", gzip.compress(("source_id,wavelength,flux,flux_error\n" + "\n".join(rows) + "\n").encode(), mtime=0))
    return {k: round(float(v), 3) for k, v in zip(("teff", "logg", "feh", "alpha_fe"), labels[near].mean(axis=0))}


def training_set(grid):
    """Writes sixty dwarfs and giants at R 900, and a table of their [Fe/H]."""
    rng = np.random.default_rng(3)
    labels = grid["labels"]
    is_in_range = (labels[:, 0] > 4300) & (labels[:, 0] < 6600) & (labels[:, 2] > -2.2) & (labels[:, 1] > 1)
    nodes = rng.choice(np.flatnonzero(is_in_range), 60, replace=False)
    wave = air_to_vacuum(grid["wavelength_air_aa"])
    observed_wave = 10 ** np.arange(np.log10(3935), np.log10(5665), 1.2e-4)
    sigma = observed_wave * np.sqrt(1 / 900**2 - 1 / 5000**2) / 2.3548
    counts = np.empty((len(nodes), observed_wave.size), "u2")
    for row, node in enumerate(nodes):
        lines = grid["normalised_flux_x10000"][node] / 1e4
        clean = convolve(wave * (1 + rng.normal(0, 60) / C_KMS), lines, observed_wave, sigma) * (1 - 0.3 * (observed_wave - 4800) / 1700)
        counts[row] = np.rint(400 * clean * (1 + rng.standard_normal(observed_wave.size) / rng.uniform(30, 60)))
    names = [f"star-{node}" for node in nodes]
    with zipfile.ZipFile("training-set.npz", "w", zipfile.ZIP_DEFLATED, compresslevel=9) as out:
        for name, array in [("wave_vac_aa", observed_wave), ("flux", counts), ("id", np.array(names))]:
            buffer = io.BytesIO()
            np.save(buffer, array)
            out.writestr(zipfile.ZipInfo(f"{name}.npy"), buffer.getvalue(), zipfile.ZIP_DEFLATED)
    rows = [f"{name},{labels[node, 2]:.3f}" for name, node in zip(names, nodes)]
    write("training-set.csv", ("id,feh\n" + "\n".join(rows) + "\n").encode())


def nearest(labels, target):
    """Row of the labels that are nearest to `target`."""
    difference = (labels[:, :4] - target) / (150, 0.2, 0.15, 0.1)
    return int(np.argmin((difference**2).sum(axis=1)))


def convolve(wave, flux, observed_wave, sigma):
    """Flux at `observed_wave`, convolved with a Gaussian whose standard deviation is `sigma` at each wavelength."""
    clean = np.empty_like(observed_wave)
    for i, (w, s) in enumerate(zip(observed_wave, sigma)):
        near = slice(np.searchsorted(wave, w - 4 * s), np.searchsorted(wave, w + 4 * s))
        weight = np.exp(-0.5 * ((wave[near] - w) / s) ** 2)
        clean[i] = np.sum(weight * flux[near]) / np.sum(weight)
    return clean


def write(file, content):
    with open(file, "wb") as out:
        out.write(content)


def write_json(file, value):
    write(file, (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode())


def main(grid_folder, real_folder):
    # Each array is read once: an .npz archive unpacks an array at each access.
    grid, apogee = (dict(np.load(file)) for file in (f"{grid_folder}/spectra.npz", f"{real_folder}/gaia_xp_apogee.npz"))
    stars = lamost(grid)
    truth = xp(apogee, (5300, 4.5, -0.3, 0.05))
    training_set(grid)
    gaia = "Mean of 10 Gaia DR3 XP spectra of stars with similar labels in APOGEE DR17; its errors are those of one of them. Mean labels: Teff {:.0f} K, log g {:.2f}, [Fe/H] {:+.2f}, [α/M] {:+.2f}."
    write_json("sets.json", [
        {
            "name": "lamost",
            "title": "Simulated LAMOST stars",
            "files": stars,
            "provenance": "Three synthetic stars of Specola's own grid, as LAMOST would observe them: R 1800, S/N 25 to 60. Free to use.",
        },
        {
            "name": "gaia-xp",
            "title": "A Gaia XP star",
            "files": ["gaia-xp.csv.gz"],
            "provenance": gaia.format(*truth.values()).replace("-", "−"),
            "truth": truth,
        },
        {
            "name": "training-set",
            "title": "Sixty simulated stars with labels",
            "files": ["training-set.csv", "training-set.npz"],
            "provenance": "Synthetic stars of Specola's own grid at R 900, below the training range of the model, with a table of their true [Fe/H]. For fine-tuning. Free to use.",
        },
    ])


def to_bytes(hdus):
    buffer = io.BytesIO()
    hdus.writeto(buffer)
    return buffer.getvalue()


main(*sys.argv[1:])
