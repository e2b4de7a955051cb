"""Parts of the module panel."""
