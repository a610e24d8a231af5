from unitscope.views.contact_sheet import preview_source as preview_source
from unitscope.views.serving import serve_painting as serve_painting
from unitscope.views.serving import serve_rating as serve_rating
