from unitscope.lab.world import open_drawn as open_drawn
