// Each page has one script and one style sheet; nothing inline, so that the server can forbid what is.
import { resolve } from "node:path";

const FOLDERS = { paint: "app", look: "look" };

export default ({ mode }) => ({
  root: resolve("src", mode),
  base: "./",
  build: {
    outDir: resolve("../src/unitscope/views", FOLDERS[mode], "page"),
    emptyOutDir: true,
    assetsInlineLimit: 0,
    modulePreload: false,
    target: "es2022",
    rollupOptions: {
      output: {
        entryFileNames: `assets/${mode}.js`,
        assetFileNames: `assets/${mode}[extname]`,
      },
    },
  },
});
