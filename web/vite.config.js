// One page, one script, one style sheet; nothing inline, so that the server can forbid what is.
export default {
  base: "./",
  build: {
    outDir: "../src/unitscope/views/app/page",
    emptyOutDir: true,
    assetsInlineLimit: 0,
    modulePreload: false,
    target: "es2022",
    rollupOptions: {
      output: {
        entryFileNames: "assets/paint.js",
        assetFileNames: "assets/paint[extname]",
      },
    },
  },
};
