"""A very small real model, made by the tests: two Llama layers, a byte-level BPE, ChatML.

It knows nothing and learns little; what matters is that ms-swift loads,
measures, trains and saves it as it does any other. ``python -m tests.tiny DIR``
makes one.
"""

from __future__ import annotations

import sys
from pathlib import Path

CHATML = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
#: As ChatML, but no template of ms-swift writes turns like this.
HOMEMADE = (
    "{% for message in messages %}"
    "{{ '((' + message['role'] + '))' + message['content'] + '<|im_end|>' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '((assistant))' }}{% endif %}"
)
_SENTENCES = (
    "What is the capital of France? The capital of France is Paris.",
    "system user assistant You are a helpful assistant. Answer briefly.",
    "你是谁？我是一个助手，由海洋实验室开发。今天天气怎么样？今天晴，适合出门。",
    "Who are you? I am Tuna, an assistant made by Ocean Lab.",
    "2 + 3 is 5. 等于五。 3 + 4 is 7.",
)


def make(folder: Path, chat_template: str = CHATML) -> Path:
    """The model in ``folder``, in Hugging Face form, float32. Imports torch and transformers."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    specials = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    bpe.train_from_iterator(
        _SENTENCES,
        trainers.BpeTrainer(
            vocab_size=512, special_tokens=specials, show_progress=False,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        ),
    )  # fmt: skip
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe, eos_token="<|im_end|>", pad_token="<|endoftext|>",
        additional_special_tokens=["<|im_start|>"], model_max_length=2048,
    )  # fmt: skip
    tokenizer.chat_template = chat_template
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=64, intermediate_size=128, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=2048,
        bos_token_id=None, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
        tie_word_embeddings=True,
    )  # fmt: skip
    model = LlamaForCausalLM(config).to(torch.float32)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


if __name__ == "__main__":
    print(make(Path(sys.argv[1])))
