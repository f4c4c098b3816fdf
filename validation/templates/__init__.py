"""Pages that `portable_cortex.validation.report` fills in."""
