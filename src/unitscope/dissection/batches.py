"""How many images a network is given at once, where nobody has said so."""

from unitscope.dissection.device_batches import fit_on_device
from unitscope.networks.network import Network
from unitscope.statistics.scan import Machine, ScanPlan

_USUAL = 8


def choose_batch(network: Network, plan: ScanPlan, machine: Machine) -> int:
    """Images that the network is given at once: 8 on a CPU, on a device as many as its memory holds.

    Of a random network, whose images pass one by one, 8 as well. Raises what `fit_on_device` raises.
    """
    return _USUAL if machine.compiled or plan.random else fit_on_device(network, plan, machine)
