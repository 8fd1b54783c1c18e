/**
 * Lays the built program out in a few files, in dist/src/bundle, and lets dist/src/main.js load these: to find and link
 * hundreds of small modules takes most of a start, and of the memory of a process at rest. The modules stay beside them, for
 * the tests and for files that are loaded by path (the host's preload, threads). The worker's preload becomes one file in its own
 * place, since workers are recognised by its path. A plain `tsc` writes main.js and the preload anew, so they never load a
 * bundle that is older than they are. Programs that run for long have a code cache besides (src/system/program).
 */
import { execFileSync } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const source = fileURLToPath(new URL('../dist/src/', import.meta.url));
const bundle = join(source, 'bundle');
const main = join(source, 'main.js');
const preload = join(source, 'workers/preload/worker.cjs');

/** Commands share their parts, so that each loads what it uses; a worker host seldom needs a good part of its own. */
const layouts = [
	{ folder: join(bundle, 'cli'), entries: ['cli/output/main-help.js', 'cli/run.js'] },
	{ folder: join(bundle, 'workers/host'), entries: ['workers/host/host.js'] },
];

/** The daemon uses all it has, so it is one file, command line and all: split, it takes half as much memory again, and has no code cache. */
const programs = [{ name: 'daemon', module: 'daemon/daemon.js', runs: 'runDaemon' }];

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

/** Not bundled with a long-lived program: the commands that its command line would load late, were another one typed. */
const withoutCommands = {
	name: 'without-commands',
	setup({ onResolve }) {
		onResolve({ filter: /^\./ }, ({ path, kind, importer, resolveDir }) => {
			if (kind !== 'dynamic-import' || !importer.startsWith(join(source, 'cli'))) return undefined;
			return { path: `./${relative(bundle, join(resolveDir, path))}`, external: true };
		});
	},
};

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
for (const { folder, entries } of layouts) {
	await build({
		...common,
		entryPoints: entries.map((entry) => join(source, entry)),
		outdir: folder,
		entryNames: '[name]',
		chunkNames: '[name]-[hash]',
		splitting: true,
		format: 'esm',
		// Packages of CommonJS ask for Node's own modules.
		banner: { js: "import { createRequire as createNodeRequire } from 'node:module'; const require = createNodeRequire(import.meta.url);" },
		external: ['pm2', 'koffi'],
		plugins: [places(folder), outside(folder), withoutLanguages],
	});
}
const moduleUrl = "const moduleUrl = require('node:url').pathToFileURL(__filename).href;";
for (const { name, module, runs } of programs) {
	const contents = `export { run } from './cli/run.js'; export { ${runs} } from './${module}';`;
	const outfile = join(bundle, `${name}.cjs`);
	await build({
		...common,
		stdin: { contents, resolveDir: source, sourcefile: `${name}.js` },
		outfile,
		format: 'cjs',
		define: { 'import.meta.url': 'moduleUrl' },
		banner: { js: moduleUrl },
		external: ['pm2', 'koffi'],
		plugins: [withoutCommands, places(bundle), outside(bundle), withoutLanguages],
	});
	// Code that comes out of a code cache may not import by itself.
	writeFileSync(outfile, readFileSync(outfile, 'utf8').replace(/\bimport\("/g, 'import$("'));
}
await build({
	...common,
	entryPoints: [preload],
	outfile: preload,
	allowOverwrite: true,
	format: 'cjs',
	define: { 'import.meta.url': 'moduleUrl' },
	// The directive must come first.
	banner: { js: `'use strict'; ${moduleUrl}` },
	plugins: [places(dirname(preload))],
});

/** What main.js says, and what it says where there are bundles. */
const imports = [
	["await import('./cli/output/main-help.js')", "await import('./bundle/cli/main-help.js')"],
	[
		"const { run } = await import('./cli/run.js');",
		"const program = (await import('./system/program/load-program.js')).loadProgram(words);\nconst { run } = program ?? (await import('./bundle/cli/run.js'));",
	],
	["(await import('./workers/host/host.js'))", "(await import('./bundle/workers/host/host.js'))"],
	...programs.map(({ module }) => [`(await import('./${module}'))`, `(program ?? (await import('./${module}')))`]),
];
let text = readFileSync(main, 'utf8');
for (const [modules, bundled] of imports) {
	// A second run finds what the first one wrote.
	if (text.includes(bundled)) continue;
	const parts = text.split(modules);
	if (parts.length !== 2) throw new Error(`main.js says ${modules} ${parts.length - 1} times, expected once`);
	text = parts.join(bundled);
}
writeFileSync(main, text);
execFileSync(process.execPath, [join(source, 'system/program/write-code-cache.js')], { stdio: 'inherit' });
