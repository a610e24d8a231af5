from unitscope.concepts.formats.fetching import fetch_dataset as fetch_dataset
from unitscope.concepts.frames import Frame as Frame
from unitscope.concepts.inspection import check_source as check_source
from unitscope.concepts.packed import pack_source as pack_source
