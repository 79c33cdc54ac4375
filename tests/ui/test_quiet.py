from gradio import routes

from tuner.ui.quiet import quiet, without_strangers

PAGE = """<link rel="preconnect" href="https://fonts.example" />
<link rel="stylesheet" href="./theme.css" />
<script src="https://cdn.example/frame.js" async></script>
<script type="module" src="./assets/index.js"></script><a href="https://example.org">kept</a>"""


def test_scripts_and_links_of_other_hosts_are_taken_out_and_nothing_else() -> None:
    kept = without_strangers(PAGE)
    assert "fonts.example" not in kept
    assert "cdn.example" not in kept
    assert './theme.css"' in kept
    assert './assets/index.js"' in kept
    assert "https://example.org" in kept


def test_gradios_own_page_is_read_without_them() -> None:
    quiet()
    quiet()  # twice is once
    environment = routes.templates.env
    assert environment.loader is not None
    text, _, _ = environment.loader.get_source(environment, "frontend/index.html")
    assert text == without_strangers(text)
    assert "assets/index" in text
