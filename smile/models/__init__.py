"""Networks: flax modules behind one small interface, and the table that ``model=...`` chooses from."""

from smile.choices import Choices
from smile.models.custom import CustomModel
from smile.models.custom import custom as custom
from smile.models.fcn import FCN as FCN
from smile.models.fcn import FCNOptions
from smile.models.generate import generate as generate
from smile.models.gpt import GPT as GPT
from smile.models.gpt import GPTOptions
from smile.models.lenet import LeNet as LeNet
from smile.models.lenet import LeNetOptions
from smile.models.model import Model as Model
from smile.models.model import check_parameters as check_parameters
from smile.models.model import from_flax as from_flax
from smile.models.model import standardised as standardised
from smile.models.options import ModelOptions as ModelOptions
from smile.models.resnet import ResNet7 as ResNet7
from smile.models.resnet import ResNet7Options, ResNet18Options
from smile.models.resnet import ResNet18 as ResNet18
from smile.models.vit import ViT as ViT
from smile.models.vit import ViTOptions

MODELS: Choices[ModelOptions] = Choices(
    "model",
    ModelOptions,
    {
        "none": None,
        "fcn": FCNOptions,
        "lenet": LeNetOptions,
        "resnet7": ResNet7Options,
        "resnet18": ResNet18Options,
        "vit": ViTOptions,
        "gpt": GPTOptions,
        "custom": CustomModel,
    },
)
