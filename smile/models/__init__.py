"""Networks: flax modules behind one small interface."""

from smile.models.custom import custom as custom
from smile.models.fcn import FCN as FCN
from smile.models.model import Model as Model
from smile.models.model import from_flax as from_flax
from smile.models.model import standardised as standardised
