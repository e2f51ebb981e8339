"""The words that annotators use for a lesion, for what surrounds it, for holes and for areas to ignore."""

from __future__ import annotations


def _listed(text: str) -> frozenset[str]:
    return frozenset(text.split())


SPECIFIC = _listed("""invasive infiltrative carcinoma carcinomata karzinom carcinome adenocarcinoma adenokarzinom""")
"""Of the positive words, those that are no general word for a lesion."""
POSITIVE = SPECIFIC | _listed(
    """tumor tumour tumeur tumore tumoral tumoural tumorous tumourous lesion neoplasm neoplasia neoplastic cancer
    cancerous malignant malignancy maligne malignum metastasis metastase metastatic metastasen macrometastasis
    macrometastase micrometastasis micrometastase positive"""
)
"""Words of the positive class, in the singular."""
NEGATIVE = _listed(
    """normal benign benigne healthy negative background glass blank whitespace uninvolved unaffected nontumor nontumour
    notumor notumour nonlesion noncancer noncancerous nonmalignant nonneoplastic nonneoplasm"""
)
"""Words of the negative class."""
NEGATIONS = _listed("""non not no without kein ohne""")
HOLES = _listed("""exclusion exclude excluded hole cutout""")
IGNORED = _listed("""ignore ignored artefact artifact""")
FILLING = _listed(
    """annotation area region zone roi class label group layer polygon outline contour mask object part site nest focus
    foci island cluster section tissue the of and main whole viable primary secondary ductal lobular left right upper
    lower small large big new copy final fine coarse expert manual ground truth gt"""
)
"""Words that change nothing beside one that decides."""
TISSUES = _listed(
    """epithelium epithelial gland glandular duct lymph node lymphoid mucosa stroma parenchyma liver lung breast skin
    colon colonic prostate fat muscle vessel cell space white"""
)
"""Tissues: beside a word of the negative class they change nothing, beside one of the positive class they do."""
OTHER_TISSUES = _listed(
    """stroma stromal necrosis necrotic inflammation inflammatory immune lymphocyte til fat adipose muscle vessel blood
    mucus mucin fibrosis dysplasia adenoma situ dci lci bed margin border front"""
)
"""Named beneath a lesion's name (a group in a group), these are something else than lesion."""
