"""ethtune: QLoRA fine-tuning of open language models to read Ethereum transactions."""

__version__ = "0.1.0"
