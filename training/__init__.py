"""Training and evaluation of the models that CSpADNFusion ships. Not part of the extension."""
