"""One TOML file per machine; `portable_cortex.machine` reads them."""
