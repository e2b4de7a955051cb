"""Parts of the module panel: inputs, device, run, settings checks and legend."""
