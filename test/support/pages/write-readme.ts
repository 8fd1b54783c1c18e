import { writeFileSync } from 'node:fs';
import { withGeneratedParts } from './generated.js';
import { pagePaths, readPage, repository } from './pages.js';

// The README last: it has code blocks of the manual.
for (const path of [...pagePaths].reverse()) writeFileSync(repository + path, withGeneratedParts(readPage(path)));
