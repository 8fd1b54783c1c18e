/**
 * Lays the built program out in a few files, in dist/src/bundle, and lets dist/src/main.js load these: to find and link
 * hundreds of small modules takes most of a start, and of the memory of a process at rest. The modules stay beside them, for
 * the tests and for files that are loaded by path (the host's preload, threads). The worker's preload becomes one file in its own
 * place, since workers are recognised by its path. A plain `tsc` writes main.js and the preload anew, so they never load a
 * bundle that is older than they are.
 */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { basename, dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const source = fileURLToPath(new URL('../dist/src/', import.meta.url));
const bundle = join(source, 'bundle');
const main = join(source, 'main.js');
const preload = join(source, 'workers/preload/worker.cjs');

/**
 * What main.js imports, by what is laid out together, in one folder. A long-lived program is one file: split, it takes half
 * as much memory again, but for what a worker host seldom loads. Commands share their parts, so that each loads what it uses.
 */
const layouts = [
	{ folder: 'cli', entries: ['output/main-help.js', 'run.js'], splitting: true },
	{ folder: 'daemon', entries: ['daemon.js'], splitting: false },
	{ folder: 'workers/host', entries: ['host.js'], splitting: true },
];

/** Modules keep their places: files beside a module are found from `folder`, where it is bundled. */
function places(folder) {
	return {
		name: 'places',
		setup({ onLoad }) {
			onLoad({ filter: /\.js$/ }, async ({ path }) => {
				if (!path.startsWith(source)) return undefined;
				const text = await readFile(path, 'utf8');
				// On one line, so that the source map stays true.
				const place = `new URL(${JSON.stringify(relative(folder, path))}, import.meta.url).href`;
				return { contents: text.replaceAll('import.meta.url', place), resolveDir: dirname(path), loader: 'js' };
			});
		},
	};
}

/**
 * Not bundled: files that workers load, too, by their path, since the host must load the very same; and the errors, since a
 * command knows by their class what a program threw.
 */
function outside(folder) {
	return {
		name: 'outside',
		setup({ onResolve }) {
			onResolve({ filter: /\.cjs$|\/errors\.js$/ }, ({ path, importer, resolveDir }) => {
				const file = join(resolveDir, path);
				const isOutside = file.endsWith('.cjs') || file === join(source, 'errors.js');
				return importer.startsWith(source) && isOutside ? { path: relative(folder, file), external: true } : undefined;
			});
		},
	};
}

/** zod's messages in some fifty languages: a third of all the code, and none of them is used. */
const withoutLanguages = {
	name: 'without-languages',
	setup({ onLoad }) {
		onLoad({ filter: /\/zod\/v4\/locales\/index\.js$/ }, () => ({ contents: '', loader: 'js' }));
	},
};

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

const common = {
	bundle: true,
	platform: 'node',
	target: 'node20',
	// Names stay, for stacks and for errors that are told by their names.
	minifyWhitespace: true,
	minifySyntax: true,
	sourcemap: 'linked',
	sourcesContent: false,
	logLevel: 'warning',
};
for (const { folder, entries, splitting } of layouts) {
	await build({
		...common,
		entryPoints: entries.map((entry) => join(source, folder, entry)),
		outdir: join(bundle, folder),
		entryNames: '[name]',
		chunkNames: '[name]-[hash]',
		splitting,
		format: 'esm',
		// Packages of CommonJS ask for Node's own modules.
		banner: { js: "import { createRequire as createNodeRequire } from 'node:module'; const require = createNodeRequire(import.meta.url);" },
		external: ['pm2', 'koffi'],
		plugins: [places(join(bundle, folder)), outside(join(bundle, folder)), withoutLanguages],
	});
}
await build({
	...common,
	entryPoints: [preload],
	outfile: preload,
	allowOverwrite: true,
	format: 'cjs',
	define: { 'import.meta.url': 'moduleUrl' },
	// The directive must come first.
	banner: { js: "'use strict'; const moduleUrl = require('node:url').pathToFileURL(__filename).href;" },
	plugins: [places(dirname(preload))],
});

let text = readFileSync(main, 'utf8').replaceAll("import('./bundle/", "import('./");
for (const [folder, name] of layouts.flatMap(({ folder, entries }) => entries.map((name) => [folder, name]))) {
	const parts = text.split(`import('./${folder}/${name}')`);
	if (parts.length !== 2) throw new Error(`main.js imports ${folder}/${name} ${parts.length - 1} times, expected once`);
	text = parts.join(`import('./bundle/${folder}/${basename(name)}')`);
}
writeFileSync(main, text);
