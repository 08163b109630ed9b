"""What compiled or data-dependent methods of scikit-learn become, a page for each family."""

from onward.converters.sklearn.operators import (  # noqa: F401
    boosting,
    clusters,
    columns,
    decompositions,
    encoders,
    ensembles,
    features,
    forests,
    iterations,
    linear_classifiers,
    neighbours,
    scalers,
    sparse_codes,
    support_vectors,
    texts,
)
