"""The Slicer side of the module CSpADNFusion: widget, logic, parameter node, scene nodes and worker process."""
