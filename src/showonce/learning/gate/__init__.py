"""Whether an update may happen: the gate, the evidence it weighs, verified outcomes, calibrated confidence."""
