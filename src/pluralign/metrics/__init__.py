"""Pure functions on numpy arrays: the numbers that pluralign reports, each with range, unit, source and when it is undefined.

Names say the direction: `_score` higher is better, `_loss` and `_distance` lower; a unit is in the name unless there is none.
"""

from pluralign.metrics.agreement import (
    AlphaLevel,
    chance_agreement,
    coincidence_matrix,
    fleiss_kappa,
    item_option_counts,
    krippendorff_alpha,
    pair_agreement,
)
from pluralign.metrics.alpha_intervals import krippendorff_alpha_estimate
from pluralign.metrics.calibration import (
    ReliabilityCurve,
    brier_loss,
    expected_calibration_error,
    log_loss_nats,
    one_vs_rest,
    reliability_curve,
)
from pluralign.metrics.disagreement import item_entropy_nats, normalised_entropy, polarisation
from pluralign.metrics.distances import (
    hellinger_distance,
    js_distance,
    js_divergence_nats,
    kl_nats,
    opinionqa_representativeness,
    simbench_score,
    total_variation_distance,
    wasserstein1_distance,
)
from pluralign.metrics.information import (
    assignment_permutation_test,
    information_preserved,
    nats_to_bits,
    permutation_p_value,
    usable_information,
)
from pluralign.metrics.lewidi import (
    csc_perspectivist_loss,
    csc_soft_distance,
    mp_perspectivist_loss,
    mp_soft_distance,
    par_perspectivist_loss,
    par_soft_distance,
    ven_perspectivist_loss,
    ven_soft_distance,
)
from pluralign.metrics.pareto import hypervolume, is_pareto_improvement, pareto_front
from pluralign.metrics.welfare import p_mean, p_mean_resampled

__all__ = [
    "AlphaLevel",
    "ReliabilityCurve",
    "assignment_permutation_test",
    "brier_loss",
    "chance_agreement",
    "coincidence_matrix",
    "csc_perspectivist_loss",
    "csc_soft_distance",
    "expected_calibration_error",
    "fleiss_kappa",
    "hellinger_distance",
    "hypervolume",
    "information_preserved",
    "is_pareto_improvement",
    "item_entropy_nats",
    "item_option_counts",
    "js_distance",
    "js_divergence_nats",
    "kl_nats",
    "krippendorff_alpha",
    "krippendorff_alpha_estimate",
    "log_loss_nats",
    "mp_perspectivist_loss",
    "mp_soft_distance",
    "nats_to_bits",
    "normalised_entropy",
    "one_vs_rest",
    "opinionqa_representativeness",
    "p_mean",
    "p_mean_resampled",
    "pair_agreement",
    "par_perspectivist_loss",
    "par_soft_distance",
    "pareto_front",
    "permutation_p_value",
    "polarisation",
    "reliability_curve",
    "simbench_score",
    "total_variation_distance",
    "usable_information",
    "ven_perspectivist_loss",
    "ven_soft_distance",
    "wasserstein1_distance",
]
