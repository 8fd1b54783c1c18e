/**
 * Lays the built program out in a few files, in dist/src/bundle, and lets dist/src/main.js load these: to find and link
 * hundreds of small modules takes most of a start, and of the memory of a process at rest. The modules stay beside them, for
 * the tests and for what is loaded by its path (preloads, threads). A plain `tsc` writes main.js anew, so it never loads a
 * bundle that is older than itself.
 */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const source = fileURLToPath(new URL('../dist/src/', import.meta.url));
const bundle = join(source, 'bundle');
const main = join(source, 'main.js');

/**
 * What main.js imports, by what is laid out together, in one folder. A long-lived program is one file: split, it takes half
 * as much memory again, but for what a worker host seldom loads. Commands share their parts, so that each loads what it uses.
 */
const layouts = [
	{ folder: 'cli', entries: ['help.js', 'run.js'], splitting: true },
	{ folder: 'daemon', entries: ['daemon.js'], splitting: false },
	{ folder: 'workers/host', entries: ['host.js'], splitting: true },
];

/** Modules keep their places: whatever is found beside a module is found from where it lies now. */
function places(folder) {
	const moved = (path) => relative(join(bundle, folder), path);
	return {
		name: 'places',
		setup({ onLoad, onResolve }) {
			onLoad({ filter: /\.js$/ }, async ({ path }) => {
				if (!path.startsWith(source)) return undefined;
				const text = await readFile(path, 'utf8');
				// On one line, so that the source map stays true.
				const place = `new URL(${JSON.stringify(moved(path))}, import.meta.url).href`;
				return { contents: text.replaceAll('import.meta.url', place), resolveDir: dirname(path), loader: 'js' };
			});
			// Not bundled: files that workers load, too, by their path, since the host must load the very same; and the errors,
			// since a command knows by their class what a program threw.
			onResolve({ filter: /\.cjs$|\/errors\.js$/ }, ({ path, importer, resolveDir }) => {
				const file = join(resolveDir, path);
				const isOutside = file.endsWith('.cjs') || file === join(source, 'errors.js');
				return importer.startsWith(source) && isOutside ? { path: moved(file), external: true } : undefined;
			});
		},
	};
}

/** null where only the modules are to be had: a checkout that was updated without `npm ci`. */
async function loadBuild() {
	try {
		return (await import('esbuild')).build;
	} catch (error) {
		if (error.code !== 'ERR_MODULE_NOT_FOUND') throw error;
		return null;
	}
}

rmSync(bundle, { recursive: true, force: true });
const build = await loadBuild();
if (build === null) {
	process.stderr.write('esbuild is not installed, so nothing is bundled: starts are slower, all else is the same. npm ci\n');
	process.exit(0);
}
for (const { folder, entries, splitting } of layouts) {
	await build({
		entryPoints: entries.map((entry) => join(source, folder, entry)),
		outdir: join(bundle, folder),
		entryNames: '[name]',
		chunkNames: '[name]-[hash]',
		bundle: true,
		splitting,
		format: 'esm',
		platform: 'node',
		target: 'node20',
		// Names stay, for stacks and for errors that are told by their names.
		minifyWhitespace: true,
		minifySyntax: true,
		sourcemap: 'linked',
		sourcesContent: false,
		// Packages of CommonJS ask for Node's own modules.
		banner: { js: "import { createRequire as createNodeRequire } from 'node:module'; const require = createNodeRequire(import.meta.url);" },
		external: ['pm2', 'koffi'],
		plugins: [places(folder)],
		logLevel: 'warning',
	});
}

let text = readFileSync(main, 'utf8').replaceAll("import('./bundle/", "import('./");
for (const entry of layouts.flatMap(({ folder, entries }) => entries.map((name) => `./${folder}/${name}`))) {
	const parts = text.split(`import('${entry}')`);
	if (parts.length !== 2) throw new Error(`main.js imports ${entry} ${parts.length - 1} times, expected once`);
	text = parts.join(`import('./bundle/${entry.slice(2)}')`);
}
writeFileSync(main, text);
