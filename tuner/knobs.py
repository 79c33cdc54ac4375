"""One table of knobs: what each is called, may be, does to the loss, and is called in words.

The form, the validation, the recommendation, the terminal's help, the docs
table and the tests all read this table; adding a knob is one entry. Names and
defaults are ms-swift 4.6's own (``tests/test_knobs.py`` compares them with its
dataclasses). It does not know what is good for a case: that is ``tuner/plan``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from tuner.errors import InputError
from tuner.texts import Lang

Kind = Literal["int", "float", "choice", "text", "bool"]


@dataclass(frozen=True)
class Knob:
    """One flag of ms-swift that a user may set.

    ``low`` and ``high`` are inclusive. ``default`` is what ms-swift does when
    the flag is not given (None: it decides by other means, see ``help``).
    """

    flag: str
    kind: Kind
    default: Any
    label: Mapping[Lang, str]
    help: Mapping[Lang, str]  #: begins with what happens when you raise it
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()

    def parse(self, value: Any) -> Any:
        """``value``, from a form or a file, as the knob's own type.

        Raises:
            InputError: not a value of this kind, or out of bounds; names the knob.
        """
        if self.kind in ("int", "float"):
            return self._number(value)
        if self.kind == "bool":
            if isinstance(value, bool) or str(value).lower() in ("true", "false"):
                return str(value).lower() == "true"
            raise InputError("knob.not_bool", knob=self.flag, value=str(value))
        text = str(value)
        if self.choices and text not in self.choices:
            allowed = ", ".join(self.choices)
            raise InputError("knob.not_choice", knob=self.flag, value=text, allowed=allowed)
        return text

    def _number(self, value: Any) -> int | float:
        try:
            number = float(value)
        except (TypeError, ValueError, OverflowError):
            number = math.nan
        if not math.isfinite(number) or isinstance(value, bool):
            raise InputError("knob.not_number", knob=self.flag, value=str(value))
        if self.kind == "int" and number != int(number):
            raise InputError("knob.not_whole", knob=self.flag, value=str(value))
        low = -math.inf if self.low is None else self.low
        high = math.inf if self.high is None else self.high
        if not low <= number <= high:
            raise InputError(
                "knob.out_of_bounds", knob=self.flag, value=f"{number:g}",
                low=f"{low:g}", high=f"{high:g}",
            )  # fmt: skip
        whole = self.kind == "int" or (number.is_integer() and abs(number) >= 1)
        return int(number) if whole else number


_TABLE: Final = (
    Knob(
        "learning_rate", "float", 1e-4,
        {"en": "learning_rate", "zh": "learning_rate 学习率"},
        {"en": "Raise it: the loss falls faster, until it jumps or blows up. The first knob to tune.",
         "zh": "调大：loss 下降更快，过大则跳动甚至发散。最先该调的参数。"},
        low=1e-8, high=1.0,
    ),
    Knob(
        "num_train_epochs", "float", 3.0,
        {"en": "num_train_epochs", "zh": "num_train_epochs 训练轮数"},
        {"en": "Raise it: the rows are seen more often; train loss keeps falling, eval loss may turn up.",
         "zh": "调大：每行数据被看更多遍；训练 loss 继续下降，验证 loss 可能回升。"},
        low=0.01, high=1000,
    ),
    Knob(
        "per_device_train_batch_size", "int", 1,
        {"en": "per_device_train_batch_size", "zh": "per_device_train_batch_size 单卡批大小"},
        {"en": "Raise it: a smoother curve, fewer steps, more memory.",
         "zh": "调大：曲线更平滑，步数更少，占用更多显存。"},
        low=1, high=4096,
    ),
    Knob(
        "gradient_accumulation_steps", "int", None,
        {"en": "gradient_accumulation_steps", "zh": "gradient_accumulation_steps 梯度累积"},
        {"en": "Raise it: the same as a larger batch without more memory, but each step takes longer. "
               "Default: so that the global batch is about 16.",
         "zh": "调大：等效于更大的批大小而不多占显存，但每步更久。默认使全局批大小约为 16。"},
        low=1, high=4096,
    ),
    Knob(
        "max_length", "int", None,
        {"en": "max_length", "zh": "max_length 最大长度"},
        {"en": "Raise it: fewer long rows are lost, more memory is needed. Default: the model's own limit.",
         "zh": "调大：丢失的长样本更少，占用更多显存。默认为模型自身上限。"},
        low=1, high=10_000_000,
    ),
    Knob(
        "truncation_strategy", "choice", "delete",
        {"en": "truncation_strategy", "zh": "truncation_strategy 超长处理"},
        {"en": "delete drops a row longer than max_length; left and right cut it. "
               "right cuts the end, where the answer is.",
         "zh": "delete 丢弃超过 max_length 的样本；left、right 截断。right 截掉的是结尾，也就是回答。"},
        choices=("delete", "left", "right"),
    ),
    Knob(
        "lr_scheduler_type", "choice", "cosine",
        {"en": "lr_scheduler_type", "zh": "lr_scheduler_type 学习率调度"},
        {"en": "How the learning rate falls during the run. The fall itself lowers the loss near the end.",
         "zh": "学习率在训练中如何下降。下降本身会让末段 loss 更低。"},
        choices=("cosine", "linear", "constant", "constant_with_warmup", "inverse_sqrt", "polynomial"),
    ),
    Knob(
        "warmup_ratio", "float", 0.0,
        {"en": "warmup_ratio", "zh": "warmup_ratio 预热比例"},
        {"en": "Raise it: the first steps are gentler, which protects from an early jump of the loss.",
         "zh": "调大：起步更缓，避免开头 loss 跳升。"},
        low=0.0, high=1.0,
    ),
    Knob(
        "max_grad_norm", "float", 1.0,
        {"en": "max_grad_norm", "zh": "max_grad_norm 梯度裁剪"},
        {"en": "Raise it: single large gradients act more. Lower it when the loss fluctuates violently.",
         "zh": "调大：个别大梯度影响更大。loss 剧烈波动时调小。"},
        low=0.0, high=1000,
    ),
    Knob(
        "weight_decay", "float", 0.1,
        {"en": "weight_decay", "zh": "weight_decay 权重衰减"},
        {"en": "Raise it: weights are pulled to zero, a little less overfitting. Weak for LoRA.",
         "zh": "调大：权重更趋向零，略微减轻过拟合。对 LoRA 作用较弱。"},
        low=0.0, high=10.0,
    ),
    Knob(
        "eval_steps", "float", 500,
        {"en": "eval_steps", "zh": "eval_steps 评估间隔"},
        {"en": "Raise it: fewer points on the eval curve, less time spent on evaluation.",
         "zh": "调大：验证曲线的点更少，评估耗时更少。"},
        low=1, high=10_000_000,
    ),
    Knob(
        "lora_rank", "int", 8,
        {"en": "lora_rank", "zh": "lora_rank LoRA 秩"},
        {"en": "Raise it: the adapter can hold more, needs more memory, and overfits sooner on few rows.",
         "zh": "调大：适配器容量更大，占用更多显存，数据少时更易过拟合。"},
        low=1, high=1024,
    ),
    Knob(
        "lora_alpha", "float", 32,
        {"en": "lora_alpha", "zh": "lora_alpha LoRA 缩放"},
        {"en": "Raise it: the adapter acts more strongly, much like a larger learning rate.",
         "zh": "调大：适配器作用更强，与调大学习率类似。"},
        low=1, high=4096,
    ),
    Knob(
        "system", "text", None,
        {"en": "system prompt", "zh": "system 系统提示词"},
        {"en": "Put before each conversation that has none of its own. Use the same one later. "
               "Default: what the template says.",
         "zh": "加在没有系统提示词的对话之前，之后推理时也要用同一个。默认按模板。"},
    ),
    Knob(
        "seed", "int", 42,
        {"en": "seed", "zh": "seed 随机种子"},
        {"en": "The same seed, data and settings give the same curve on the same machine.",
         "zh": "种子、数据、设置相同，在同一台机器上得到相同的曲线。"},
        low=0, high=2**31 - 1,
    ),
    Knob(
        "save_steps", "float", 500,
        {"en": "save_steps", "zh": "save_steps 保存间隔"},
        {"en": "Raise it: fewer checkpoints on disk, more to lose when the machine fails.",
         "zh": "调大：磁盘上的 checkpoint 更少，机器出故障时损失更多。"},
        low=1, high=10_000_000,
    ),
    Knob(
        "logging_steps", "float", 5,
        {"en": "logging_steps", "zh": "logging_steps 日志间隔"},
        {"en": "Raise it: fewer points on the train curve, each the mean of more steps.",
         "zh": "调大：训练曲线的点更少，每个点是更多步的平均。"},
        low=1, high=10_000_000,
    ),
    Knob(
        "torch_dtype", "choice", None,
        {"en": "torch_dtype", "zh": "torch_dtype 精度"},
        {"en": "The precision of the weights. float16 can give NaN; bfloat16 needs a recent GPU. "
               "Default: the model's own.",
         "zh": "权重精度。float16 可能出现 NaN；bfloat16 需要较新的显卡。默认同模型。"},
        choices=("float32", "bfloat16", "float16"),
    ),
    Knob(
        "gradient_checkpointing", "bool", True,
        {"en": "gradient_checkpointing", "zh": "gradient_checkpointing 梯度检查点"},
        {"en": "On: far less memory for activations, about a third more time a step.",
         "zh": "开启：激活占用大幅减少，每步约慢三分之一。"},
    ),
)  # fmt: skip

KNOBS: Final[Mapping[str, Knob]] = {knob.flag: knob for knob in _TABLE}

#: The knobs that the page shows in its plan, in this order: the eight of the
#: original answer (batch size is two flags), then what every run is asked about.
FORM: Final = (
    "learning_rate", "num_train_epochs", "per_device_train_batch_size",
    "gradient_accumulation_steps", "max_length", "lr_scheduler_type", "max_grad_norm",
    "weight_decay", "eval_steps", "warmup_ratio", "lora_rank", "lora_alpha", "seed",
)  # fmt: skip

#: Flags of ms-swift that run code of the user's choice, name credentials, or
#: start servers. They are refused by name.
REFUSED: Final = frozenset(
    {
        "external_plugins", "custom_register_path", "custom_dataset_info", "hub_token",
        "swanlab_token", "swanlab_webhook_url", "swanlab_secret", "push_to_hub",
        "ignore_args_error", "deepspeed_elastic", "use_ray", "ENV",
    }
)  # fmt: skip
