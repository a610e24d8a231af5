from unitscope.views.contact_sheet import preview_source as preview_source
from unitscope.views.formula_comparison import compare_formulas as compare_formulas
from unitscope.views.look.sessions import save_session as save_session
from unitscope.views.serving import serve_looking as serve_looking
from unitscope.views.serving import serve_painting as serve_painting
from unitscope.views.serving import serve_rating as serve_rating
