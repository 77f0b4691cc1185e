"""Networks: flax modules behind one small interface."""

from smile.models.custom import custom as custom
from smile.models.fcn import FCN as FCN
from smile.models.generate import generate as generate
from smile.models.gpt import GPT as GPT
from smile.models.lenet import LeNet as LeNet
from smile.models.model import Model as Model
from smile.models.model import from_flax as from_flax
from smile.models.model import standardised as standardised
from smile.models.resnet import ResNet7 as ResNet7
from smile.models.resnet import ResNet18 as ResNet18
from smile.models.vit import ViT as ViT
