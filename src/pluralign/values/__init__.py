"""Values, rights and duties that bear on a situation: models, the system around them, data, tuning, studies with people."""
