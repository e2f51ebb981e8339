#!/usr/bin/env bash
# The pictures of README and site, from real runs on a miniature: needs `bench`, Chromium and Pillow; about two minutes.
set -euo pipefail
cd "$(dirname "$0")/../.."
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export MLFLOW_TRACKING_URI="sqlite:///$scratch/mlflow.db"
bench run --method coarse,constant --dataset glas --data synthetic
bench report --out "$scratch/report.html"
run=$(python -c "import benchmark; print(benchmark.results(method='coarse').index[0])")
bench show "$run" testA_3 --side 520 --out docs/pictures/slide.jpg
chromium --headless --no-sandbox --disable-gpu --hide-scrollbars --window-size=1280,1000 \
    --screenshot="$scratch/report.png" "file://$scratch/report.html" >"$scratch/chromium.log" 2>&1
python -c "from PIL import Image; Image.open('$scratch/report.png').convert('RGB').save('docs/pictures/report.jpg', quality=85)"
