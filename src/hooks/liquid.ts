/** The engine of templates alone: of a package that is imported whole, a bundle would keep all of its exports. */

export { Liquid } from 'liquidjs';
