from qecforge_td3 import *
from qecforge.testing.continuous import ContinuousAgentContract
class TestTD3None(ContinuousAgentContract):
    spec=qecforge_agents()[0]
    settings={"block":"none","total_steps":1200,"num_envs":8,"learning_starts":64,"log_every":64,"replay_capacity":5000,"batch_size":64,"critic_hidden":(32,32),"pre_hidden":32,"post_hidden":32,"actor_learning_rate":3e-3,"critic_learning_rate":3e-3,"gamma":0.8}
